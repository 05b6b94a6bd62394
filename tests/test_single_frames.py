"""Benchmarks with one annotated frame a sentence: what the model is asked, what is kept, what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmg import Segmenter
from sgmg.data.sample import Sample
from sgmg.errors import InputError
from sgmg.evaluation.instances import InstanceEvaluation
from sgmg.evaluation.single_frames import KeptPredictor, ModelPredictor, evaluate
from sgmg.model import SgMg
from sgmg.segmentation import Rle, encode_masks

SIZE = (40, 60)


def sample(name: str, expression: str, left: int, video: str = "v") -> Sample:
    """Three frames of noise, the middle one annotated with a block."""
    generator = torch.Generator().manual_seed(len(video))
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[1, 10:20, left : left + 10] = True
    frames = torch.randint(0, 256, (3, 3, *SIZE), generator=generator, dtype=torch.uint8)
    return Sample(frames, masks, expression, video, name, ["1", "2", "3"], annotated=[1])


@pytest.fixture
def data() -> list[Sample]:
    return [sample("v_i_1", "the dog", 0), sample("v_i_2", "a cup", 30), sample("w_i_1", "the dog", 30, "w2")]


def half(sample_id: str, sample: Sample) -> tuple[list[Rle], list[float]]:
    """The right mask, scored low, and half of it, scored high."""
    right = sample.masks[1].numpy()
    part = right.copy()
    part[15:] = False
    return encode_masks(np.stack([right, part])), [0.25, 0.75]


def test_the_best_mask_counts_for_iou_and_all_for_map(data: list[Sample]) -> None:
    result = evaluate(data, half).to_dict()
    assert (result["samples"], result["videos"]) == (3, 2)
    assert result["mean IoU"] == result["overall IoU"] == 50
    # Each object has a right mask that ranks behind a wrong one, except at the threshold 0.5.
    assert 40 < result["mAP"] < 60
    assert evaluate(data, half, rank=False, limit=2).to_dict().keys() == result.keys() - {"mAP"}


def test_the_model_sees_the_window_and_gives_all_masks_of_its_annotated_frame(
    tiny_model: SgMg, data: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(tiny_model, "cpu")
    clips = []
    encode = tiny_model.encode_video
    monkeypatch.setattr(tiny_model, "encode_video", lambda clip: clips.append(clip.shape[1]) or encode(clip))
    predict = ModelPredictor(segmenter)
    answers = [predict(one.expression_id, one) for one in data]
    assert clips == [3, 3]  # two sentences about one window share the encoder's work
    for masks, scores in answers:
        assert len(masks) == len(scores) == tiny_model.config.queries
        assert all(mask["size"] == list(SIZE) for mask in masks)
        assert all(0 <= score <= 1 for score in scores)
    assert answers[0][1] != answers[1][1]
    assert answers[0][1] == ModelPredictor(segmenter)("", data[0])[1]


def test_sentences_are_asked_as_networks_are_trained_on_them(
    tiny_model: SgMg, data: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    tokenize = tiny_model.tokenize
    monkeypatch.setattr(tiny_model, "tokenize", lambda texts: asked.extend(texts) or tokenize(texts))
    ModelPredictor(Segmenter(tiny_model, "cpu"))("", replace(data[0], expression=" A  Man in BLUE"))
    assert set(asked) == {"a man in blue"}


def test_an_image_is_a_clip_of_one_frame(tiny_model: SgMg, data: list[Sample]) -> None:
    image = replace(data[0], frames=data[0].frames[1:2], masks=data[0].masks[1:2], frame_names=["1"], annotated=None)
    masks, _ = ModelPredictor(Segmenter(tiny_model, "cpu"))("0", image)
    assert len(masks) == tiny_model.config.queries
    with pytest.raises(ValueError, match="one frame of v must be annotated, not 3"):
        evaluate([replace(data[0], annotated=None)], half)


def test_kept_predictions_score_as_when_they_were_made(data: list[Sample], tmp_path: Path) -> None:
    found = evaluate(data, half, keep=tmp_path / "kept")
    results = json.loads((tmp_path / "kept" / "predictions.json").read_text())
    assert {result["image_id"] for result in results} == {"v_i_1", "v_i_2", "w_i_1"}
    assert evaluate(data, KeptPredictor(tmp_path / "kept")) == found
    assert evaluate(data, KeptPredictor(tmp_path / "kept" / "predictions.json")) == found
    with pytest.raises(InputError, match="exists already"):
        evaluate(data, half, keep=tmp_path / "kept")


def test_samples_of_one_id_are_told_apart(data: list[Sample], tmp_path: Path) -> None:
    twice = [data[0], replace(data[0], expression="a cup"), data[1]]
    found = evaluate(twice, half, keep=tmp_path / "kept")
    assert [best.id for best in found.best] == ["v_i_1", "v_i_1#2", "v_i_2"]
    assert evaluate(twice, KeptPredictor(tmp_path / "kept")) == found


def test_no_samples_have_no_scores() -> None:
    assert evaluate([], half) == InstanceEvaluation([], None)


def change(results: list[dict], **values: object) -> None:
    results[0] |= values


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda results: results.clear(), "has nothing for the sample 'v_i_1'"),
        (lambda results: results.pop(), None),  # one of two masks
        (lambda results: change(results, image_id=None), "result 0 has no image_id"),
        (lambda results: change(results, score=float("nan")), "result 0 has the score nan"),
        (lambda results: change(results, score="high"), "result 0 has the score 'high'"),
        (lambda results: change(results, segmentation=None), "a mask of 'v_i_1'"),
        (lambda results: change(results, segmentation={"size": [40, 60]}), "a mask of 'v_i_1'"),
        (lambda results: results[0]["segmentation"].update(size=[60, 40]), "must have the size of its frame"),
        (lambda results: results[0]["segmentation"].update(counts="oooooooooooooo"), "run lengths are damaged"),
        (lambda results: results[0]["segmentation"].update(counts="1000000"), "run lengths are damaged"),
        (lambda results: results[0]["segmentation"].update(counts=[-5, 2405]), "run lengths are damaged"),
        (lambda results: results[0]["segmentation"].update(counts=[2**40]), "run lengths are damaged"),
        (lambda results: results[0]["segmentation"].update(counts=[2400]), None),
        (lambda results: change(results, segmentation=[[0, 0, 10, 0, 10, 10]]), None),
    ],
)
def test_other_methods_predictions_are_checked(
    data: list[Sample], tmp_path: Path, damage: Callable[[list[dict]], None], message: str | None
) -> None:
    evaluate(data, half, keep=tmp_path / "kept")
    path = tmp_path / "kept" / "predictions.json"
    results = json.loads(path.read_text())
    damage(results)
    path.write_text(json.dumps(results))
    if message is None:
        evaluate(data, KeptPredictor(path))
        return
    with pytest.raises(InputError, match=message):
        evaluate(data, KeptPredictor(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (b"[{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"{}", "must hold a list"),
        (b"[3]", "result 0 has no image_id"),
    ],
)
def test_what_is_no_list_of_results_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        KeptPredictor(path)
