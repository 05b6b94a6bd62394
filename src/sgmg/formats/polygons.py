"""Masks as polygons, for formats that know no pixels.

Coordinates are continuous: the pixel in column 3 covers x from 3 to 4, as COCO, CVAT and YOLO mean it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator
from pycocotools import mask as coco

FIDELITY = 0.99
"""Least intersection over union of a mask and its polygon, filled as pycocotools does."""

_TOLERANCES = (0.5, 0.25, 0.0)  # in pixels; the last one is exact


def polygon_of(mask: np.ndarray) -> np.ndarray | None:
    """One polygon that covers a mask: its parts and its holes are reached by bridges that are no pixel wide.

    Such a polygon is what formats of one polygon an object can hold of an object that is seen in parts. Filled by
    the even-odd rule (or any other: holes run the other way round) it gives the mask again; corners are left out as
    far as `FIDELITY` allows.

    Args:
        mask: (H, W) bool.

    Returns:
        (n, 2) x, y of its corners, not closed; None for an empty mask.
    """
    if not mask.any():
        return None
    wanted = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    for tolerance in _TOLERANCES:
        polygon = _bridged([ring for outline, holes in outlines_of(mask, tolerance) for ring in (outline, *holes)])
        if tolerance == 0 or coco.iou([_filled(polygon, mask.shape)], [wanted], [False])[0, 0] >= FIDELITY:
            break
    return polygon


def _filled(polygon: np.ndarray, size: tuple[int, ...]) -> Any:
    return coco.frPyObjects([polygon.reshape(-1).tolist()], *size)[0]


def outlines_of(mask: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """The parts of a mask: the outline of each, and those of its holes, which run the other way; all (n, 2) x, y.

    Args:
        mask: (H, W) bool.
        tolerance: how far, in pixels, an outline may leave the middle between what is inside and what is outside.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.float32), 1)
    generator = contour_generator(z=inside, fill_type=FillType.OuterOffset)
    parts = []
    for points, offsets in zip(*generator.filled(0.5, 2), strict=True):
        # A value belongs to a pixel's middle, and the padding moved all of them by one.
        points = points + np.array([left - 0.5, top - 0.5])
        rings = [_simplified(points[start : end - 1], tolerance) for start, end in pairwise(offsets)]
        parts.append((rings[0], rings[1:]))
    return parts


def _simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """A ring without the corners that lie no further than `tolerance` from the line without them (Douglas, Peucker)."""
    if tolerance <= 0 or len(ring) <= 4:
        return ring
    far = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(closed), bool)
    kept[[0, far, -1]] = True
    todo = [(0, far), (far, len(ring))]
    while todo:
        start, end = todo.pop()
        if end - start < 2:
            continue
        along = closed[end] - closed[start]
        beside = closed[start + 1 : end] - closed[start]
        distances = np.abs(beside[:, 0] * along[1] - beside[:, 1] * along[0]) / np.hypot(*along)
        worst = int(distances.argmax())
        if distances[worst] > tolerance:
            middle = start + 1 + worst
            kept[middle] = True
            todo += [(start, middle), (middle, end)]
    result = ring[kept[:-1]]
    return result if len(result) >= 3 else ring


def _bridged(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Rings as one: each is reached from a larger one that is near, there and back on the same line."""
    rings = sorted(rings, key=len, reverse=True)
    lows, highs = (np.array([end(ring, axis=0) for ring in rings]) for end in (np.min, np.max))
    starts = [0]  # the corner at which each ring is reached
    bridges: list[tuple[int, int]] = []  # for each but the first: from which ring and which of its corners
    for index in range(1, len(rings)):
        gaps = np.maximum(lows[:index] - highs[index], lows[index] - highs[:index]).max(axis=1)
        parent = int(np.maximum(gaps, 0).argmin())
        distances = ((rings[parent][:, None] - rings[index][None]) ** 2).sum(axis=2)
        corner, start = np.unravel_index(distances.argmin(), distances.shape)
        bridges.append((parent, int(corner)))
        starts.append(int(start))
    detours: list[list[tuple[int, np.ndarray]]] = [[] for _ in rings]
    for index in range(len(rings) - 1, 0, -1):  # every ring is reached from one before it
        parent, corner = bridges[index - 1]
        detours[parent].append((corner, _round_trip(rings[index], starts[index], detours[index])))
    return _round_trip(rings[0], 0, detours[0])[:-1]


def _round_trip(ring: np.ndarray, start: int, detours: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """Once round a ring, from a corner back to it, with detours from other corners and back to these."""
    corners = np.concatenate([ring[start:], ring[: start + 1]])
    pieces, last = [], 0
    for corner, detour in sorted(detours, key=lambda pair: (pair[0] - start) % len(ring)):
        corner = (corner - start) % len(ring)
        pieces += [corners[last : corner + 1], detour]
        last = corner
    return np.concatenate([*pieces, corners[last:]])
