"""Scores of single annotated frames, against their definitions and pycocotools."""

import copy
import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sgmg.evaluation.instances import Answer, BestMask, InstanceEvaluation, coco_datasets, mean_average_precision
from sgmg.segmentation import encode_masks

SIZE = (20, 30)


def block(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


NOTHING = np.zeros(SIZE, bool)


def answer(annotation: np.ndarray, masks: list[np.ndarray], scores: list[float], name: str = "0") -> Answer:
    rles = encode_masks(np.stack(masks)) if masks else []
    return Answer(name, f"video {name}", encode_masks(annotation[None])[0], rles, scores)


def pycocotools_map(answers: list[Answer]) -> float:
    """mAP by the reference implementation."""
    indexed = []
    for dataset in copy.deepcopy(coco_datasets(answers)):
        index = COCO()
        index.dataset = dataset
        with redirect_stdout(io.StringIO()):
            index.createIndex()
        indexed.append(index)
    with redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*indexed, iouType="segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def test_the_mask_that_scores_highest_counts() -> None:
    right = block(0, 0, 10, 10)
    found = answer(right, [block(0, 0, 10, 5), right, NOTHING], [0.9, 0.8, 0.1])
    assert BestMask.of(found) == BestMask("0", "video 0", 50, 100, 0.9)
    assert BestMask.of(found).iou == 0.5
    # Of equals, the first.
    assert BestMask.of(answer(right, [NOTHING, right], [0.5, 0.5])).iou == 0


def test_precision_overall_and_mean_iou() -> None:
    small, large = block(0, 0, 2, 5), block(0, 0, 10, 20)
    answers = [
        answer(small, [small], [0.5], "0"),  # 10 of 10
        answer(large, [block(0, 0, 10, 10)], [0.5], "1"),  # 100 of 200
        answer(small, [], [], "2"),  # 0 of 10
        answer(small, [NOTHING], [0.9], "3"),  # 0 of 10
    ]
    result = InstanceEvaluation.of(answers)
    assert result.precision(0.5) == 0.25  # 0.5 is not above 0.5
    assert result.precision(0.9) == 0.25
    assert result.mean_iou == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert result.overall_iou == pytest.approx(110 / 230)
    plain = result.to_dict()
    assert (plain["samples"], plain["videos"], plain["P@0.5"], plain["mean IoU"]) == (4, 4, 25, 37.5)
    assert [row["IoU"] for row in result.rows()] == [100, 50, 0, 0]
    assert [row["score"] for row in result.rows()] == [0.5, 0.5, None, 0.9]


def test_perfect_masks_and_none_at_all() -> None:
    masks = [block(0, 0, 5, 5), block(5, 5, 10, 10)]
    assert mean_average_precision([answer(mask, [mask], [0.3]) for mask in masks]) == 1
    assert mean_average_precision([answer(mask, [], []) for mask in masks]) == 0
    assert mean_average_precision([answer(mask, [NOTHING], [1.0]) for mask in masks]) == 0
    assert mean_average_precision([]) is None
    assert InstanceEvaluation.of([]).to_dict()["mean IoU"] is None
    assert "mAP" not in InstanceEvaluation.of([answer(masks[0], [], [])], rank=False).to_dict()


def test_where_nothing_is_to_be_found_nothing_is_right() -> None:
    assert BestMask.of(answer(NOTHING, [NOTHING], [0.5])).iou == 1
    assert BestMask.of(answer(NOTHING, [block(0, 0, 1, 1)], [0.5])).iou == 0
    assert InstanceEvaluation.of([answer(NOTHING, [NOTHING], [0.5])], rank=False).overall_iou == 1


def blocks() -> st.SearchStrategy[np.ndarray]:
    sides = st.integers(0, 12)
    return st.builds(block, st.integers(0, 12), st.integers(0, 20), sides, sides)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Masks near the right one and far from it, empty ones, and many equal scores."""
    right = draw(blocks())
    masks = [
        draw(st.one_of(blocks(), st.just(right), st.just(np.roll(right, 1, axis=1))))
        for _ in range(draw(st.integers(0, 5)))
    ]
    scores = [draw(st.one_of(st.sampled_from([0.1, 0.5, 0.9]), st.floats(0, 1))) for _ in masks]
    return answer(right, masks, scores)


@given(st.lists(answers(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_map_is_that_of_pycocotools(found: list[Answer]) -> None:
    assert mean_average_precision(found) == pytest.approx(pycocotools_map(found), abs=1e-9)


def test_map_of_many_samples_is_that_of_pycocotools() -> None:
    generator = np.random.default_rng(0)
    found = []
    for index in range(300):
        right = block(*generator.integers(0, 8, 2), *generator.integers(3, 12, 2))
        masks = [np.roll(right, tuple(generator.integers(-2, 3, 2)), (0, 1)) for _ in range(5)]
        found.append(answer(right, masks, generator.random(5).round(2).tolist(), str(index)))
    expected = pycocotools_map(found)
    assert 0.1 < expected < 0.9
    assert mean_average_precision(found) == pytest.approx(expected, abs=1e-9)


def test_more_than_a_hundred_masks_are_as_in_pycocotools() -> None:
    right = block(0, 0, 8, 8)
    found = [answer(right, [block(10, 10, 3, 3)] * 120 + [right], [*np.linspace(1, 0.5, 120), 0.1])]
    assert mean_average_precision(found) == pytest.approx(pycocotools_map(found), abs=1e-9)
