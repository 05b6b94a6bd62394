"""A batch for training: clips padded to one size, with every expression's ground truth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert

from sgmg.data.sample import Sample
from sgmg.model.config import SMALLEST_SIDE

PADDED_MULTIPLE = 32
"""Training clips are padded at the bottom and right to a multiple of this many pixels, and to what the network pads its
frames to itself at least."""


@dataclass
class Targets:
    """Ground truth of E expressions, one object each, in K frames: all T, or those that are annotated.

    Attributes:
        masks: (E, K, H, W) bool, at the padded size of the frames; False on padding and where absent.
        boxes: (E, K, 4) float, centre x, centre y, width, height as shares of the *unpadded* frame; zeros
            where absent.
        present: (E, K) bool, whether the object is in the frame.
    """

    masks: Tensor
    boxes: Tensor
    present: Tensor


@dataclass
class Batch:
    """B clips of T frames, with E expressions in all; `counts[b]` of them, in order, belong to clip b.

    Attributes:
        frames: (B, T, 3, H, W) uint8 RGB, zeros on padding.
        padding_mask: (B, H, W) bool, True on padding; None where nothing is padded.
        targets: ground truth of the E expressions.
        counts: expressions of each clip; sums to E.
        annotated: (B, K) indices of the frames that the ground truth is of; None where it is of all.
        expressions: the E sentences.
        names: the E samples' ids, for messages.
        kinds: the E samples' kinds of expression, "" where the data has none.
    """

    frames: Tensor
    padding_mask: Tensor | None
    targets: Targets
    counts: list[int]
    expressions: list[str]
    annotated: Tensor | None = None
    names: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width without padding, of the largest clip."""
        if self.padding_mask is None:
            return self.frames.shape[-2], self.frames.shape[-1]
        real = ~self.padding_mask
        return int(real.any(2).sum(1).max()), int(real.any(1).sum(1).max())


def normalised_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (..., 4) from pixels x1, y1, x2, y2 to centre x, centre y, width, height in [0, 1]."""
    scale = boxes.new_tensor([width, height, width, height])
    return box_convert(boxes, "xyxy", "cxcywh") / scale


def collate(clips: Sequence[Sequence[Sample]]) -> Batch:
    """Put clips together.

    Args:
        clips: each a list of samples that share their frames: one clip and its expressions. All clips have
            the same number of frames, and of annotated ones; sizes may differ.

    Returns:
        The batch, padded with zeros at the bottom and right to one size, a multiple of 32 and at least 160.
    """
    sizes = [tuple(samples[0].frames.shape[-2:]) for samples in clips]
    height, width = (
        math.ceil(max(SMALLEST_SIDE, *side) / PADDED_MULTIPLE) * PADDED_MULTIPLE for side in zip(*sizes, strict=True)
    )

    def padded(image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        return functional.pad(image, (0, width - w, 0, height - h))

    padding_mask = None
    if any(size != (height, width) for size in sizes):
        padding_mask = torch.ones(len(clips), height, width, dtype=torch.bool)
        for mask, (h, w) in zip(padding_mask, sizes, strict=True):
            mask[:h, :w] = False
    samples = [sample for clip in clips for sample in clip]
    annotated = [clip[0].annotated for clip in clips if clip[0].annotated is not None]
    if annotated and (len(annotated) < len(clips) or len({len(frames) for frames in annotated}) > 1):
        raise ValueError("clips of one batch must have the same number of annotated frames")
    chosen = [slice(None) if sample.annotated is None else sample.annotated for sample in samples]
    boxes = [normalised_boxes(s.boxes, *s.masks.shape[-2:]) for s in samples]
    return Batch(
        frames=torch.stack([padded(clip[0].frames) for clip in clips]),
        padding_mask=padding_mask,
        targets=Targets(
            masks=torch.stack([padded(sample.masks[frames]) for sample, frames in zip(samples, chosen, strict=True)]),
            boxes=torch.stack([box[frames] for box, frames in zip(boxes, chosen, strict=True)]),
            present=torch.stack([sample.present[frames] for sample, frames in zip(samples, chosen, strict=True)]),
        ),
        counts=[len(clip) for clip in clips],
        expressions=[sample.expression for sample in samples],
        annotated=torch.tensor(annotated) if annotated else None,
        names=[f"{s.video}/{s.expression_id} ({s.expression!r})" for s in samples],
        kinds=[sample.kind for sample in samples],
    )
