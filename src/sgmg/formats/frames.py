"""What formats are given: what is known before the first frame, then frame after frame."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco

from sgmg.overlay import Look
from sgmg.video import Video

if TYPE_CHECKING:
    from sgmg.segmentation import Rle


@dataclass(frozen=True)
class Subject:
    """What is known of a segmentation before its first frame; neither its length nor anything found.

    Attributes:
        expressions: the E sentences.
        size: (H, W) of the video.
        fps: average frames per second.
        source: what the video is called, for people to read.
        video: whose timing and sound videos take over; None for formats that need no frames.
        look: how overlays are painted.
    """

    expressions: Sequence[str]
    size: tuple[int, int]
    fps: Fraction
    source: str = ""
    video: Video | None = None
    look: Look = field(default_factory=Look)

    @property
    def name(self) -> str:
        """The source as the name of a file or folder: "holiday/Dog 1.mp4" is "dog-1"."""
        return slug(Path(self.source.replace("\\", "/")).stem, otherwise="video")

    @property
    def names(self) -> list[str]:
        """Each expression as the name of a file or folder, such as "0-the-dog"."""
        return [f"{index}-{slug(text, otherwise='expression')}" for index, text in enumerate(self.expressions)]

    def labels(self, longest: int | None = None) -> list[str]:
        """The expressions as names of classes: distinct, of printable letters, and no longer than so many of these."""
        labels: list[str] = []
        for text in self.expressions:
            text = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
            for number in range(1, len(self.expressions) + 1):
                ending = "" if number == 1 else f" ({number})"
                room = None if longest is None else longest - len(ending)
                label = (text if room is None or len(text) <= room else text[: room - 1] + "…") + ending
                if label not in labels:
                    break
            labels.append(label)
        return labels

    @property
    def frames(self) -> Video:
        """The video, where a format needs it."""
        assert self.video is not None, "a format that needs frames was opened without them"
        return self.video


@dataclass(frozen=True)
class FoundFrame:
    """What was found in one frame.

    Attributes:
        index: 0 for the first frame.
        name: what the frame is called, without a suffix.
        time: seconds since the first frame.
        duration: seconds for which it is shown.
        rles: E masks, run-length encoded.
        scores: (E,) in [0, 1].
        pixels: (H, W, 3) uint8 RGB; None where only formats that need no frames are written.
    """

    index: int
    name: str
    time: Fraction
    duration: Fraction
    rles: Sequence[Rle]
    scores: np.ndarray
    pixels: np.ndarray | None = None

    @cached_property
    def masks(self) -> np.ndarray:
        """(E, H, W) bool."""
        return np.stack([coco.decode(rle).astype(bool) for rle in self.rles])

    @property
    def boxes(self) -> np.ndarray:
        """(E, 4) float32: x1, y1, x2, y2 around each mask in pixels, ends exclusive; zeros if it is empty."""
        boxes = np.array([coco.toBbox(rle) for rle in self.rles], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    @property
    def union(self) -> np.ndarray:
        """(H, W) bool: where any of the objects is."""
        union: np.ndarray = np.logical_or.reduce(self.masks, axis=0)
        return union

    @property
    def image(self) -> np.ndarray:
        """The pixels, where a format needs them."""
        assert self.pixels is not None, "a format that needs frames was given none"
        return self.pixels

    def labels(self) -> np.ndarray:
        """(H, W) uint8: 0 is background, e + 1 is expression e; where several are, the one that scores highest."""
        labels = np.zeros(self.masks.shape[1:], np.uint8)
        # Worst first, the better over them; of equal ones the first comes last.
        for index in sorted(range(len(self.masks)), key=lambda index: (self.scores[index], -index)):
            labels[self.masks[index]] = index + 1
        return labels


def slug(text: str, otherwise: str) -> str:
    """A name for any file system: "The dog's ball!" becomes "the-dog-s-ball"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())[:60].strip("-") or otherwise
