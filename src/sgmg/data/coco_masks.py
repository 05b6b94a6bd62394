"""Masks as COCO writes them, run lengths or polygons, decoded by pycocotools once they are known to be sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from sgmg.errors import InputError

BoolArray = NDArray[np.bool_]


def check_segmentation(segmentation: Any, where: str) -> None:
    """Refuse what is neither a list of polygons nor run lengths; the pixels are looked at by `decode_segmentation`.

    Raises:
        InputError: with what is wrong, after ``where``.
    """
    if isinstance(segmentation, dict):
        _rle_size(segmentation, where)
    elif not isinstance(segmentation, list) or not segmentation:
        raise InputError(f"{where}: its segmentation is neither a list of polygons nor run lengths.")
    else:
        for polygon in segmentation:
            if not isinstance(polygon, list) or len(polygon) % 2:
                raise InputError(f"{where}: a polygon is no list of x, y, x, y, …")
        if not _with_area(segmentation):
            raise InputError(f"{where}: none of its polygons has at least three points.")


def decode_segmentation(segmentation: Any, size: tuple[int, int], where: str) -> BoolArray:
    """The mask of a COCO segmentation: (H, W) bool.

    Args:
        segmentation: polygons, their union is meant; or run lengths, compressed or not.
        size: height and width of the image.
        where: what this is, for messages.

    Raises:
        InputError: it is damaged, or of another size.
    """
    check_segmentation(segmentation, where)
    if isinstance(segmentation, dict):
        return _decode_rle(segmentation, size, where)
    height, width = size
    polygons = []
    for polygon in _with_area(segmentation):
        try:
            points = np.asarray(polygon, np.float64)
        except (OverflowError, TypeError, ValueError):
            points = np.full(1, np.nan)
        # Rasterising walks along the edges: points far away would take memory without end.
        if points.ndim != 1 or not (np.abs(points) <= 4 * max(height, width)).all():
            raise InputError(f"{where}: a polygon has points that are no numbers, or far outside of the image.")
        polygons.append(points.tolist())
    return coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)


def _with_area(polygons: list[list[Any]]) -> list[list[Any]]:
    """Those of at least three points: beside them annotations of COCO have a few that are points or lines."""
    return [polygon for polygon in polygons if len(polygon) >= 6]


def _rle_size(rle: dict[str, Any], where: str) -> tuple[int, int]:
    size = rle.get("size")
    if (
        isinstance(size, list)
        and len(size) == 2
        and all(type(side) is int and side > 0 for side in size)
        and isinstance(rle.get("counts"), str | list)
    ):
        return size[0], size[1]
    raise InputError(f'{where}: run lengths must have a "size" of two numbers and "counts".')


def _decode_rle(rle: dict[str, Any], size: tuple[int, int], where: str) -> BoolArray:
    height, width = _rle_size(rle, where)
    if (height, width) != size:
        raise InputError(
            f"{where} is {width}x{height}, but its image is {size[1]}x{size[0]}: "
            "a mask must have the size of its frame."
        )
    counts = rle["counts"]
    try:
        runs = np.asarray(counts if isinstance(counts, list) else run_lengths(counts.encode("ascii")), np.int64)
        sound = (
            runs.ndim == 1
            and bool(((runs >= 0) & (runs <= height * width)).all())
            and int(runs.sum()) == height * width
        )
    except (IndexError, OverflowError, TypeError, ValueError):
        sound = False
    # pycocotools leaves the rest of a mask undefined where the runs end early.
    if not sound:
        raise InputError(f"{where}: its run lengths are damaged, since they do not fill {width}x{height} pixels.")
    if isinstance(counts, list):
        rle = coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return coco.decode(rle).astype(bool)


def run_lengths(counts: bytes) -> list[int]:
    """Lengths of the runs in a compressed string: five bits a character, from the fourth on differences."""
    runs: list[int] = []
    place = 0
    while place < len(counts):
        value = shift = 0
        more = True
        while more:
            bits = counts[place] - 48
            if not 0 <= bits < 64 or shift > 30:
                raise ValueError("no run length")
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place += 1
            shift += 5
            if not more and bits & 0x10:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
