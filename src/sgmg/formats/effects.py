"""Pictures in which an object, or everything else, is hidden: functions of a frame and where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

BLUR = 1 / 24
"""Standard deviation of blurring, as a share of the frame's shorter side."""

BLOCK = 1 / 30
"""Side of the blocks of pixelation, as a share of the frame's shorter side."""

MARGIN = 1 / 100
"""By how much an object's mask is grown before it is blurred, as a share of the frame's shorter side."""


def blurred(image: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """A frame so blurred that what is smaller than about a tenth of its shorter side, faces and letters, is gone.

    Args:
        image: (H, W, 3) uint8.
        of: (H, W) bool, whose colours are mixed, so that an object that stays sharp throws no halo around itself; by
            default everybody's.
    """
    radius = max(2.0, BLUR * min(image.shape[:2]))
    return _averaged(image, of, lambda picture: picture.filter(ImageFilter.GaussianBlur(radius)))


def pixelated(image: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """A frame as blocks of one colour each, the mean of what they cover; arguments as of `blurred`."""
    side = block_side(image.shape[:2])
    height, width = image.shape[:2]
    blocks = _averaged(image, of, lambda picture: picture.reduce(side))
    return blocks.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def _averaged(image: np.ndarray, of: np.ndarray | None, average: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Averages of colours; only of the pixels in `of`, where there are any near."""
    everywhere = np.asarray(average(Image.fromarray(image)))
    if of is None:
        return everywhere
    share = np.asarray(average(Image.fromarray(of.astype(np.uint8) * 255)), np.float32)[..., None]
    summed = np.asarray(average(Image.fromarray(image * of[..., None])), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share > 0, np.minimum(summed * 255 / share, 255), everywhere).astype(np.uint8)


def grey(image: np.ndarray) -> np.ndarray:
    """A frame, (H, W, 3) uint8, without its colours."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def replaced(image: np.ndarray, where: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A frame, (H, W, 3), with another's pixels where a mask, (H, W) bool, is True."""
    return np.where(where[..., None], by, image)


def whole_blocks(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the blocks of `pixelated` that a mask touches, so that not even its outline is told."""
    side = block_side(mask.shape)
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % side), (0, -width % side)))
    touched = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side).any(axis=(1, 3))
    return touched.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    """(H, W) bool: what is at most `by` pixels from a mask, to the sides or diagonally."""
    result = mask
    for axis in (0, 1):
        line = np.moveaxis(result.copy(), axis, 0)
        done = 0
        while done < by:
            step = min(by - done, 2 * done + 1)  # what is grown already grows on at its own width
            before = line.copy()
            line[step:] |= before[:-step]
            line[:-step] |= before[step:]
            done += step
        result = np.moveaxis(line, 0, axis)
    return result


def margin_of(size: tuple[int, ...]) -> int:
    """`MARGIN` in pixels of a frame of a (height, width)."""
    return max(1, round(MARGIN * min(size)))


def block_side(size: tuple[int, ...]) -> int:
    """`BLOCK` in pixels of a frame of a (height, width)."""
    return max(2, round(BLOCK * min(size)))


def on_transparency(image: np.ndarray, mask: np.ndarray, rim: int = 0) -> np.ndarray:
    """A frame, (H, W, 3) uint8, as (H, W, 4) that is opaque exactly where a mask is True.

    Args:
        image: the frame.
        mask: (H, W) bool.
        rim: around the mask this many pixels keep their colour under the transparency, since codecs mix the colours of
            neighbours; all others become black, and nothing of them reaches the file.
    """
    kept = grown(mask, rim) if rim else mask
    return np.dstack([image * kept[..., None], mask.astype(np.uint8) * 255])
