"""A video cut into clips that overlap: what the network is to see next, and what was found in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from PIL import Image

from sgmg.errors import InputError
from sgmg.segmentation import Rle, decode_masks
from sgmg.tracking import Observation
from sgmg.video import Frame


@dataclass(frozen=True)
class Cut:
    """How a video is cut into clips.

    Attributes:
        length: frames that the network sees together; "all" for the whole video.
        overlap: how many of them the clip before held too.
        every: every N-th frame of the video is seen; those between get the masks of the last one seen.

    Raises:
        InputError: a clip of that kind is not possible.
    """

    length: int | Literal["all"] = 36
    overlap: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        if self.length != "all" and (not isinstance(self.length, int) or self.length < 1):
            raise InputError(f"A clip of {self.length} frames is not possible; give 1 or more, or 'all'.")
        if self.overlap < 0 or (self.length != "all" and self.overlap >= self.length):
            raise InputError(
                f"Clips of {self.length} frames cannot share {self.overlap} of them with the clip before; "
                "give an overlap of 0 up to one less than the clip's length."
            )
        if self.every < 1:
            raise InputError(f"Every {self.every}-th frame is not possible; give 1 or more.")

    @property
    def delay(self) -> int | None:
        """After how many further frames, at most, a frame's masks come; None: only at the end of the video.

        From the second clip on it is `overlap * every` less.
        """
        return None if self.length == "all" else self.length * self.every - 1


def frames_shown(scores: np.ndarray, min_score: float) -> np.ndarray:
    """In which frames of a clip an object is shown; in the others its mask is left empty.

    One frame is easily mistaken, so the clip decides whether the object is there: if its best frame scores `min_score`
    or more. Then it is shown in all frames but those that score less than half of that, which it has left.

    Args:
        scores: (T,) of the clip's frames.
        min_score: 0 to 1.

    Returns:
        (T,) bool.
    """
    shown: np.ndarray = (scores >= min_score / 2) & (scores.max(initial=0.0) >= min_score)
    return shown


@dataclass(frozen=True)
class Plan:
    """What is done to every video of a job, as plain values that are the same on all machines.

    Attributes:
        cut: how it is cut into clips.
        sides: pixels on the shorter side that frames are resized to, and at most on the longer.
        min_score: see `frames_shown`.
    """

    cut: Cut
    sides: tuple[int, int]
    min_score: float


@dataclass
class Window:
    """What the network is to see next.

    Attributes:
        pixels: the frames it sees, (3, h, w) uint8 each, those of the clip before first.
        known: how many of them the clip before held.
        frames: the frames that are new, also those that the network does not see.
        seen: for each of `frames` the one whose masks it gets: an index into those of `pixels` that are new.
    """

    pixels: list[np.ndarray]
    known: int
    frames: list[Frame]
    seen: list[int] = field(default_factory=list)


def windows(
    frames: Iterable[Frame], cut: Cut, prepare: Callable[[np.ndarray], np.ndarray], keep_images: bool
) -> Iterator[Window]:
    """Cut frames into clips; each comes as soon as its last frame is there.

    Args:
        frames: in order.
        cut: how.
        prepare: a frame's image (H, W, 3) as the network sees it.
        keep_images: leave the images in `Window.frames`; otherwise they are let go of at once (and are empty).
    """
    window = Window([], 0, [])
    shared: deque[np.ndarray] = deque(maxlen=cut.overlap)
    for count, frame in enumerate(frames):
        if count % cut.every == 0:
            window.pixels.append(prepare(frame.image))
            shared.append(window.pixels[-1])
        window.frames.append(frame if keep_images else frame.without_image())
        window.seen.append(len(window.pixels) - 1 - window.known)
        if len(window.pixels) == cut.length and (count + 1) % cut.every == 0:
            yield window
            window = Window(list(shared), len(shared), [])
    if window.frames:
        yield window


def network_size(size: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width at which the network sees a video of a (height, width), keeping its proportions.

    >>> network_size((1080, 1920), 360, 640)
    (360, 640)
    """
    shorter, longer = min(size), max(size)
    target = short_side
    if longer / shorter * short_side > long_side:
        target = max(1, round(long_side * shorter / longer))
    across = max(1, min(int(target * longer / shorter), 2 * long_side))  # a line of pixels is shortened
    return (target, across) if size[0] == shorter else (across, target)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to (3, h, w) uint8, bilinear and antialiased, as published inference does.

    By torchvision, which is several times as fast; where it is not installed, by Pillow, whose results torchvision's
    are but for one step in 255 in a pixel here and there.
    """
    try:
        import torch
        from torchvision.transforms.v2 import functional as transforms
    except ImportError:
        picture = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(picture).transpose(2, 0, 1)
    pixels = torch.from_numpy(image if image.flags.writeable else image.copy()).permute(2, 0, 1)
    found: np.ndarray = transforms.resize(pixels, list(size), antialias=True).numpy()
    return found


@dataclass
class SegmentedClip:
    """What was found in the frames that one clip adds; E expressions, T new frames, H x W pixels.

    Attributes:
        start: index of its first frame, counted from the first frame segmented.
        frames: the T frames: name, time, duration, and image where the images were asked for (otherwise empty).
        scores: (E, T) float32 in [0, 1], how sure the model is of each expression in each frame.
        rles: rles[e][t] is expression e's mask in frame t, run-length encoded.
        repeated: (T,) bool, True where the masks and scores are those of the last frame that the network saw.
        size: (H, W).
    """

    start: int
    frames: list[Frame]
    scores: np.ndarray
    rles: list[list[Rle]]
    repeated: np.ndarray
    size: tuple[int, int]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    @property
    def masks(self) -> np.ndarray:
        """(E, T, H, W) bool."""
        return np.stack([self.masks_of(index) for index in range(len(self))], axis=1)

    def masks_of(self, index: int) -> np.ndarray:
        """The masks of one frame, (E, H, W) bool; `index` counts from the clip's first frame."""
        return decode_masks([track[index] for track in self.rles], self.size)

    @property
    def times(self) -> list[Fraction]:
        """Seconds since the first frame, of each frame."""
        return [frame.time for frame in self.frames]


@dataclass(frozen=True)
class Sighting:
    """What one clip says of one expression to somebody who does not know the clips before: of N queries that may be it.

    Attributes:
        scores: (N, T) float32 in [0, 1], of the T frames that the network has not seen in the clip before.
        rles: rles[n][t], query n's mask there, run-length encoded.
        observation: by what one of the queries is to be chosen; None where N is 1.
    """

    scores: np.ndarray
    rles: list[list[Rle]]
    observation: Observation | None
