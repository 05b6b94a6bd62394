"""J and F: parity with the DAVIS 2017 evaluation, and with its definition written out plainly."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation
from skimage.morphology import disk

from sgmg.evaluation import boundary_accuracy, region_similarity

METRICS = Path(__file__).parents[2] / "shared" / "metrics"


def plain_boundary(mask: np.ndarray) -> np.ndarray:
    """The definition: a pixel is on the boundary if its east, south or south-east neighbour differs."""
    height, width = mask.shape
    boundary = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            south, east = min(y + 1, height - 1), min(x + 1, width - 1)
            neighbours = {mask[y, east], mask[south, x], mask[south, east]}
            boundary[y, x] = (not mask[y, x]) in neighbours
    return boundary


def plain_boundary_accuracy(predicted: np.ndarray, annotated: np.ndarray) -> float:
    """F of a frame by whole-image dilation with scikit-image's disc."""
    disc = disk(math.ceil(0.008 * math.hypot(*predicted.shape)))
    predicted_boundary, annotated_boundary = plain_boundary(predicted), plain_boundary(annotated)
    predicted_found = predicted_boundary & binary_dilation(annotated_boundary, disc)
    annotated_found = annotated_boundary & binary_dilation(predicted_boundary, disc)
    if not predicted_boundary.any() and not annotated_boundary.any():
        precision = recall = 1.0
    elif not predicted_boundary.any():
        precision, recall = 1.0, 0.0
    elif not annotated_boundary.any():
        precision, recall = 0.0, 1.0
    else:
        precision = predicted_found.sum() / predicted_boundary.sum()
        recall = annotated_found.sum() / annotated_boundary.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@pytest.mark.skipif(not METRICS.is_dir(), reason="masks of real videos with their scores are not here")
def test_real_videos_score_as_in_the_davis_evaluation() -> None:
    for video, rows in json.loads((METRICS / "expected.json").read_text()).items():
        data = np.load(METRICS / f"{video}.npz")
        for row in rows:
            prediction = data["prediction"] == row["proposal"]
            annotation = data["annotation"] == row["object"]
            np.testing.assert_allclose(region_similarity(prediction, annotation), row["J"], atol=1e-6)
            np.testing.assert_allclose(boundary_accuracy(prediction, annotation), row["F"], atol=1e-6)


@st.composite
def pairs_of_masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one size: noise, blocks (also at the border), or two discs in frames with larger radii."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 260))
    if draw(st.booleans()):
        scale = draw(st.sampled_from([1, 4, 16]))
        coarse = (math.ceil(height / scale), math.ceil(width / scale))
        masks = [draw(arrays(bool, coarse)) for _ in range(2)]
        blocks = [np.kron(mask, np.ones((scale, scale), bool)).astype(bool) for mask in masks]
        return blocks[0][:height, :width], blocks[1][:height, :width]
    y, x = np.mgrid[:height, :width]
    circles = []
    for _ in range(2):
        centre_y, centre_x = draw(st.integers(-5, height + 5)), draw(st.integers(-5, width + 5))
        circles.append((y - centre_y) ** 2 + (x - centre_x) ** 2 < draw(st.integers(0, 40)) ** 2)
    return circles[0], circles[1]


@given(pairs_of_masks())
@settings(max_examples=150, deadline=None)
def test_boundary_accuracy_is_exactly_the_plain_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, annotated = pair
    assert boundary_accuracy(predicted[None], annotated[None])[0] == plain_boundary_accuracy(predicted, annotated)


def test_larger_frames_have_larger_discs() -> None:
    """720p: radius 12. A square that is moved by 12 pixels is still found, by 13 it no longer is."""
    annotation = np.zeros((1, 720, 1280), bool)
    annotation[0, 200:500, 300:700] = True
    assert boundary_accuracy(np.roll(annotation, 12, axis=2), annotation) == 1
    assert boundary_accuracy(np.roll(annotation, 13, axis=2), annotation) < 1


def test_frames_without_the_object() -> None:
    empty, some = np.zeros((1, 20, 30), bool), np.zeros((1, 20, 30), bool)
    some[0, 5:9, 5:9] = True
    full = ~empty
    assert region_similarity(empty, empty) == boundary_accuracy(empty, empty) == 1
    assert region_similarity(some, empty) == boundary_accuracy(some, empty) == 0
    assert region_similarity(empty, some) == boundary_accuracy(empty, some) == 0
    # A mask that fills the frame has no boundary, as an empty one has none.
    assert boundary_accuracy(full, empty) == 1
    assert region_similarity(full, empty) == 0


def test_each_frame_has_its_own_score() -> None:
    annotation = np.zeros((3, 32, 32), bool)
    annotation[:2, 8:16, 8:16] = True
    prediction = annotation.copy()
    prediction[1, 8:16, 12:16] = False
    prediction[2, 0, 0] = True
    np.testing.assert_allclose(region_similarity(prediction, annotation), [1, 0.5, 0])
    assert boundary_accuracy(prediction, annotation).shape == (3,)


def test_tensors_and_integers_are_masks_too() -> None:
    masks = np.random.default_rng(0).random((2, 40, 50)) > 0.5
    other = np.roll(masks, 1, axis=2)
    for metric in (region_similarity, boundary_accuracy):
        expected = metric(masks, other)
        np.testing.assert_array_equal(metric(torch.from_numpy(masks), torch.from_numpy(other)), expected)
        np.testing.assert_array_equal(metric(masks.astype(np.uint8) * 255, other.astype(int)), expected)
        assert metric(masks[:0], other[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (np.zeros((20, 30), bool), "shape"),
        (np.zeros((1, 20, 31), bool), "differ"),
        (np.zeros((1, 20, 30)), "threshold"),
    ],
)
def test_what_are_no_masks_is_refused(prediction: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region_similarity(prediction, np.zeros((1, 20, 30), bool))
