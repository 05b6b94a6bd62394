"""Images of datasets: read completely or refused by name, never half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sgmg.errors import InputError

LABEL_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from an image's header; its pixels are not decoded.

    Raises:
        InputError: the file is missing or no image.
    """
    with _open(path) as image:
        return image.height, image.width


def read_frames(paths: Sequence[Path]) -> np.ndarray:
    """Images of one size as RGB, (T, H, W, 3) uint8.

    Raises:
        InputError: a file is missing, damaged, or of another size than the first.
    """
    return _read_all(paths, lambda image, path: np.asarray(image.convert("RGB")))


def read_labels(paths: Sequence[Path]) -> np.ndarray:
    """Palette or grey images of one size as the values of their pixels, (T, H, W) int32.

    Raises:
        InputError: a file is missing, damaged, in colours, or of another size than the first.
    """
    return _read_all(paths, _as_labels)


def save_labels(path: Path, labels: np.ndarray) -> None:
    """Write (H, W) uint8 labels as a palette image, in the colours of PASCAL VOC and DAVIS."""
    image = Image.fromarray(labels).convert("P")
    image.putpalette(_PALETTE)
    image.save(path)


def _palette() -> list[int]:
    """The usual colours of annotations: bits of the id spread over red, green and blue."""
    ids = np.arange(256)
    colors = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((ids >> channel) & 1) << (7 - bit)
        ids >>= 3
    return colors.reshape(-1).tolist()


_PALETTE = _palette()


def _as_labels(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode not in LABEL_MODES:
        raise InputError(f"{path} holds {image.mode} colours, not labels: save it as a palette or grey PNG.")
    return np.asarray(image).astype(np.int32)


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except Exception as error:  # a broken header can make Pillow raise almost anything
        raise InputError(f"{path} is not a readable image: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    return "its format is unknown" if isinstance(error, UnidentifiedImageError) else str(error) or "it is broken"


def _read_all(paths: Sequence[Path], convert: Callable[[Image.Image, Path], np.ndarray]) -> np.ndarray:
    if not paths:
        raise ValueError("at least one image must be asked for")
    images: list[np.ndarray] = []
    for path in paths:
        with _open(path) as opened:
            try:
                image = convert(opened, path)
            except InputError:
                raise
            except Exception as error:  # as in _open: a truncated or damaged file
                raise InputError(f"{path} is damaged: {_reason(error)}.") from error
        if images and image.shape != images[0].shape:
            (height, width), (first_height, first_width) = image.shape[:2], images[0].shape[:2]
            raise InputError(
                f"{path} is {width}x{height}, but {paths[0].name} is {first_width}x{first_height}: "
                "all images of a video must have one size."
            )
        images.append(image)
    return np.stack(images)
