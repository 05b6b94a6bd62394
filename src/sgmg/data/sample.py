"""One type for what every reader and generator of referring-video data hands on."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Sample:
    """A clip, a sentence about one object in it, and where that object is.

    Attributes:
        frames: (T, 3, H, W) uint8, RGB.
        masks: (T, H, W) bool, all False in frames where the object is absent.
        expression: the sentence.
        video: name of the video, "" where there is none.
        expression_id: id of the expression within the video.
        frame_names: T names, as the dataset writes them.
        kind: kind of expression (metadata of generated data), "" elsewhere.
        annotated: indices of the frames whose masks are given; None for all. Masks of other frames are all False,
            and mean nothing.
    """

    frames: Tensor
    masks: Tensor
    expression: str
    video: str = ""
    expression_id: str = ""
    frame_names: list[str] = field(default_factory=list)
    kind: str = ""
    annotated: list[int] | None = None

    @property
    def present(self) -> Tensor:
        """(T,) bool: the object is visible in the frame."""
        return self.masks.flatten(1).any(dim=1)

    @property
    def boxes(self) -> Tensor:
        """(T, 4) float32, x1 y1 x2 y2 in pixels (torchvision masks_to_boxes); zeros where absent."""
        from torchvision.ops import masks_to_boxes  # takes seconds to import; processes that score need no boxes

        boxes = torch.zeros(len(self.masks), 4)
        present = self.present
        if present.any():
            boxes[present] = masks_to_boxes(self.masks[present])
        return boxes


def plain_sentence(expression: str) -> str:
    """An expression as networks are trained on it: lower case, single spaces (as published)."""
    return " ".join(expression.lower().split())
