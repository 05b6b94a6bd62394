"""Polygons and run lengths: decoded as pycocotools does, refused where they are damaged."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from sgmg.data.coco_masks import decode_segmentation
from sgmg.data.synthetic.outlines import outlines
from sgmg.errors import InputError

MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda size: arrays(np.bool_, size))


def compressed(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    values = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(np.concatenate([[False], values])))
    return {"size": list(mask.shape), "counts": np.diff([0, *changes, mask.size]).tolist()}


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_run_lengths_are_decoded_exactly(mask: np.ndarray) -> None:
    for segmentation in (compressed(mask), uncompressed(mask)):
        np.testing.assert_array_equal(decode_segmentation(segmentation, mask.shape, "here"), mask)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_outlines_rasterise_to_the_mask_holes_and_corners_included(mask: np.ndarray) -> None:
    polygons = outlines(mask)
    if not polygons:
        assert not mask.any()
        return
    np.testing.assert_array_equal(decode_segmentation(polygons, mask.shape, "here"), mask)


def test_long_run_lengths_are_decoded() -> None:
    mask = np.zeros((480, 640), bool)
    mask[100:300, 200:500] = True
    np.testing.assert_array_equal(decode_segmentation(compressed(mask), mask.shape, "here"), mask)


def test_several_polygons_are_one_object_and_may_reach_a_little_outside() -> None:
    mask = decode_segmentation([[0, 0, 4, 0, 4, 4, 0, 4], [6, 6, 10.5, 6, 10.5, 10.5, 6, 10.5]], (10, 10), "here")
    assert mask[:4, :4].all()
    assert mask[6:, 6:].all()
    assert mask.sum() == 32


def test_points_and_lines_beside_polygons_cover_nothing() -> None:
    mask = decode_segmentation([[9, 9], [0, 0, 4, 0, 4, 4, 0, 4], [1, 9, 9, 1], []], (10, 10), "here")
    assert mask[:4, :4].all()
    assert mask.sum() == 16


@pytest.mark.parametrize(
    "segmentation",
    [
        None, [], "RLE", 5, [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], ["polygon"], [{"size": [4, 4]}],
        [[0, 0, 4, 0, "x", 4]], [[0, 0, 4, 0, None, 4]], [[0, 0, 4, 0, float("nan"), 4]], [[0, 0, 4, 0, 1e12, 4]],
        [[0, 0, 4, 0, 2**2000, 4]],
        [[0, 0, 4, 0, [1], 4]],
        {}, {"size": [4, 4]}, {"size": [4, 4], "counts": 16}, {"size": "4x4", "counts": "g0"},
        {"size": [4], "counts": "g0"}, {"size": [4.0, 4], "counts": "`0"}, {"size": [-4, -4], "counts": "`0"},
        {"size": [8, 2], "counts": "`0"}, {"size": [4, 4], "counts": ""}, {"size": [4, 4], "counts": "1"},
        {"size": [4, 4], "counts": "0PPPPo0"}, {"size": [4, 4], "counts": "zzzzzzzzzzzzzz"},
        {"size": [4, 4], "counts": "\x00"}, {"size": [4, 4], "counts": "ü"}, {"size": [4, 4], "counts": "P"},
        {"size": [4, 4], "counts": [4, 4]}, {"size": [4, 4], "counts": [20, -4]}, {"size": [4, 4], "counts": [None]},
        {"size": [4, 4], "counts": [[16]]}, {"size": [4, 4], "counts": [2**70]},
        {"size": [4, 4], "counts": [2**62] * 4 + [16]},
    ],
)  # fmt: skip
def test_damaged_segmentations_are_refused(segmentation: Any) -> None:
    with pytest.raises(InputError, match=r"^annotation 7"):
        decode_segmentation(segmentation, (4, 4), "annotation 7")
