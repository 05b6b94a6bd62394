"""J and F of masks over time, as the DAVIS 2017 evaluation defines them.

J (region similarity) is the intersection over union. F (boundary accuracy) is the harmonic mean of the
precision and recall of boundary pixels, where a pixel counts as found if the other boundary passes within a
disc around it (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

BoolArray = NDArray[np.bool_]

BOUNDARY_TOLERANCE = 0.008
"""Radius of the disc as a fraction of the image diagonal, rounded up to whole pixels."""


def region_similarity(prediction: ArrayLike, annotation: ArrayLike) -> NDArray[np.float64]:
    """J of every frame: intersection over union, 1 where both masks are empty.

    Args:
        prediction: (T, H, W) bool, array or tensor (integers count as True where not 0).
        annotation: (T, H, W) bool, array or tensor.

    Returns:
        (T,) float64 in [0, 1].

    Raises:
        ValueError: the shapes differ, are not (T, H, W), or the masks are neither bool nor integer.
    """
    predicted, annotated = _as_pair(prediction, annotation)
    pairs = list(zip(predicted, annotated, strict=True))
    # Frame by frame: count_nonzero is many times slower when it is given axes.
    intersection = np.array([np.count_nonzero(p & a) for p, a in pairs], dtype=np.float64)
    union = np.array([np.count_nonzero(p | a) for p, a in pairs], dtype=np.float64)
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def boundary_accuracy(prediction: ArrayLike, annotation: ArrayLike) -> NDArray[np.float64]:
    """F of every frame: harmonic mean of the boundary's precision and recall.

    The tolerance is ``ceil(0.008 * diagonal)`` pixels. Where only one mask has a boundary, F is 0; where
    neither has one (empty, or filling the frame), it is 1.

    Args:
        prediction: (T, H, W) bool, array or tensor (integers count as True where not 0).
        annotation: (T, H, W) bool, array or tensor.

    Returns:
        (T,) float64 in [0, 1].

    Raises:
        ValueError: the shapes differ, are not (T, H, W), or the masks are neither bool nor integer.
    """
    predicted, annotated = _as_pair(prediction, annotation)
    radius = math.ceil(BOUNDARY_TOLERANCE * np.linalg.norm(predicted.shape[1:]))
    pairs = zip(predicted, annotated, strict=True)
    return np.array([_frame_boundary_accuracy(p, a, radius) for p, a in pairs], dtype=np.float64)


def _as_pair(prediction: ArrayLike, annotation: ArrayLike) -> tuple[BoolArray, BoolArray]:
    predicted, annotated = _as_masks(prediction, "prediction"), _as_masks(annotation, "annotation")
    if predicted.shape != annotated.shape:
        raise ValueError(f"prediction {predicted.shape} and annotation {annotated.shape} differ in shape")
    return predicted, annotated


def _as_masks(masks: ArrayLike, name: str) -> BoolArray:
    array = np.asarray(masks.cpu() if hasattr(masks, "cpu") else masks)
    if array.ndim != 3:
        raise ValueError(f"{name} must have the shape (T, H, W), not {array.shape}")
    if array.dtype.kind not in "bui":
        raise ValueError(f"{name} must hold bool masks, not {array.dtype}: threshold it first")
    return array.astype(bool, copy=False)


def _frame_boundary_accuracy(predicted: BoolArray, annotated: BoolArray, radius: int) -> float:
    window = _window(predicted, annotated)
    if window is None:
        return 1.0
    predicted_boundary, annotated_boundary = _boundary(predicted[window]), _boundary(annotated[window])
    predicted_count = np.count_nonzero(predicted_boundary)
    annotated_count = np.count_nonzero(annotated_boundary)
    if predicted_count == 0 or annotated_count == 0:
        return float(predicted_count == annotated_count)
    near_annotated, near_predicted = _dilate(annotated_boundary, radius), _dilate(predicted_boundary, radius)
    precision = float(np.count_nonzero(predicted_boundary & near_annotated) / predicted_count)
    recall = float(np.count_nonzero(annotated_boundary & near_predicted) / annotated_count)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _window(predicted: BoolArray, annotated: BoolArray) -> tuple[slice, slice] | None:
    """What has to be looked at: both masks and one pixel around them, since all boundary pixels lie there.

    Both boundaries lie inside, so what either reaches outside of the window matters to neither.
    """
    either = predicted | annotated
    rows = np.flatnonzero(either.any(axis=1))
    if len(rows) == 0:
        return None
    top, bottom = max(rows[0] - 1, 0), rows[-1] + 2
    columns = np.flatnonzero(either[top:bottom].any(axis=0))
    return slice(top, bottom), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _boundary(mask: BoolArray) -> BoolArray:
    """Pixels that differ from their right, lower or lower right neighbour; the border repeats itself."""
    boundary = np.zeros_like(mask)
    horizontal, vertical = mask[:, :-1] ^ mask[:, 1:], mask[:-1] ^ mask[1:]
    boundary[:, :-1] = horizontal
    boundary[:-1] |= vertical
    boundary[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return boundary


def _dilate(mask: BoolArray, radius: int) -> BoolArray:
    """Dilate with the disc x² + y² <= radius².

    The disc is a stack of horizontal runs that widen towards its middle: row by row the run is grown, and
    or-ed into the rows it belongs to. That takes some 4 * radius passes over the mask, not as many as
    the disc has pixels. The mask lies flat with a margin between rows, so that every pass is one
    contiguous stretch.
    """
    height, width = mask.shape
    stride = width + radius
    margin = radius * stride + radius
    flat = np.zeros(2 * margin + height * stride, dtype=bool)
    length = height * stride
    flat[margin : margin + length].reshape(height, stride)[:, :width] = mask

    # The run needs margins too, since it is read at up to `radius` rows above and below.
    run = flat.copy()
    reached = np.zeros(length, dtype=bool)
    half_width = 0
    for row in range(radius, -1, -1):
        while (half_width + 1) ** 2 + row**2 <= radius**2:
            half_width += 1
            run[half_width:] |= flat[:-half_width]
            run[:-half_width] |= flat[half_width:]
        for offset in {row * stride, -row * stride}:
            reached |= run[margin + offset : margin + offset + length]
    return reached.reshape(height, stride)[:, :width]
