"""A video and sentences in, masks at the video's own size out, clip by clip."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from videos import square_frame, write_video

from sgmg import Segmenter
from sgmg.clips import frames_shown, network_size
from sgmg.errors import InputError, InputWarning
from sgmg.model import SgMg

SIZE = (72, 96)


@pytest.fixture
def segmenter(tiny_model: SgMg) -> Segmenter:
    return Segmenter(tiny_model, device="cpu", name="tiny")


@pytest.fixture
def frames() -> np.ndarray:
    return np.stack([square_frame(index) for index in range(7)])


def test_masks_at_the_videos_own_size(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.webm", "libvpx-vp9", frames=5, size=(71, 95))
    result = segmenter(path, ["the red circle", "a dog moving left"])
    assert result.masks.shape == (2, 5, 71, 95)
    assert result.masks.dtype == bool
    assert result.boxes.shape == (2, 5, 4)
    assert result.frame_scores.shape == (2, 5)
    assert ((result.frame_scores > 0) & (result.frame_scores < 1)).all()
    assert result.scores == pytest.approx(result.frame_scores.mean(axis=1))
    assert result.expressions == ["the red circle", "a dog moving left"]
    assert (result.size, result.fps, result.model) == ((71, 95), 12, "tiny")
    assert result.settings["short_side"] == 144
    assert result.frame_names == [f"{index:05d}" for index in range(5)]


def test_it_is_what_the_network_computes(segmenter: Segmenter, tiny_model: SgMg, frames: np.ndarray) -> None:
    """By hand, for frames that need no resizing: normalise, best query, threshold."""
    large = frames.repeat(2, axis=1).repeat(2, axis=2)  # 144 x 192
    result = segmenter(large, "the dog", clip_length="all", short_side=144)
    pixels = torch.from_numpy(large).permute(0, 3, 1, 2) / 255
    normal = (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    with torch.inference_mode():
        prediction, visual = tiny_model(normal[None], None, *tiny_model.tokenize(["the dog"]))
        query = prediction.logits.sigmoid().mean((1, 3)).argmax(1)
        masks = tiny_model.optimise_masks(prediction, visual, query) > 0
    assert (result.masks == masks.numpy()).all()
    assert result.frame_scores[0] == pytest.approx(prediction.logits[0, :, query[0], 0].sigmoid().numpy(), abs=1e-5)


def test_the_same_input_gives_the_same_output(segmenter: Segmenter, frames: np.ndarray) -> None:
    one, two = segmenter(frames, "the dog"), segmenter(frames, "the dog")
    assert (one.masks == two.masks).all()
    assert (one.frame_scores == two.frame_scores).all()


def test_expressions_do_not_depend_on_each_other(segmenter: Segmenter, frames: np.ndarray) -> None:
    together = segmenter(frames, ["the dog", "a person", "the cup moving right and up"])
    alone = segmenter(frames, "a person")
    assert (together.masks[1] == alone.masks[0]).all()
    assert (together.frame_scores[1] == alone.frame_scores[0]).all()


def test_the_visual_encoder_runs_once_a_clip(
    segmenter: Segmenter, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    find = segmenter.model.find
    monkeypatch.setattr(segmenter.model, "find", lambda clip, *rest: lengths.append(len(clip)) or find(clip, *rest))
    segmenter(frames, ["the dog", "a person"], clip_length=3)
    assert lengths == [3, 3, 1]
    segmenter(frames, ["the dog", "a person"], clip_length="all")
    assert lengths[3:] == [7]


def test_clips_are_independent(segmenter: Segmenter, frames: np.ndarray) -> None:
    whole = segmenter(frames, "the dog", clip_length=4)
    first, last = segmenter(frames[:4], "the dog"), segmenter(frames[4:], "the dog")
    assert (whole.masks == np.concatenate([first.masks, last.masks], axis=1)).all()
    assert len(segmenter(frames, "the dog", clip_length=1)) == 7


def test_a_clip_whose_best_frame_scores_too_low_has_empty_masks(segmenter: Segmenter, frames: np.ndarray) -> None:
    free = segmenter(frames, "the dog", clip_length=3, min_score=0.0)
    best = [free.frame_scores[0, start : start + 3].max() for start in (0, 3, 6)]
    strict = segmenter(frames, "the dog", clip_length=3, min_score=float(max(best)))
    shown = np.repeat([score == max(best) for score in best], 3)[: len(frames)]
    assert shown.any()
    assert not shown.all()
    assert free.masks[0, ~shown].any()
    assert not strict.masks[0, ~shown].any()
    assert not strict.boxes[0, ~shown].any()
    assert (strict.masks[0, shown] == free.masks[0, shown]).all()


def test_frames_that_an_object_has_left_are_those_with_less_than_half_of_the_score_it_needs() -> None:
    scores = np.array([0.6, 0.4, 0.2, 0.3])
    assert frames_shown(scores, 0.6).tolist() == [True, True, False, True]
    assert not frames_shown(scores, 0.7).any()
    assert frames_shown(scores, 0.0).all()
    assert frames_shown(np.zeros(0), 0.5).shape == (0,)


def test_encode_once_ask_often(segmenter: Segmenter, frames: np.ndarray) -> None:
    with segmenter.encode(frames) as features:
        dog, both = features.segment("the dog"), features.segment(["a cup", "the dog"])
    expected = segmenter(frames, "the dog", clip_length="all")
    assert (dog.masks == expected.masks).all()
    assert (both.masks[1] == expected.masks[0]).all()
    with pytest.raises(RuntimeError, match="freed"):
        features.segment("the dog")


def test_bfloat16_gives_nearly_the_same(tiny_model: SgMg, frames: np.ndarray) -> None:
    exact = Segmenter(tiny_model, "cpu")(frames, "the dog")
    rough = Segmenter(tiny_model, "cpu", dtype="bfloat16")(frames, "the dog")
    assert rough.frame_scores == pytest.approx(exact.frame_scores, rel=0.1)
    assert (rough.frame_scores != exact.frame_scores).any(), "it is computed in bfloat16"


def test_progress_rises_to_all_frames(segmenter: Segmenter, frames: np.ndarray) -> None:
    calls: list[tuple[float, int | None]] = []
    segmenter(frames, ["the dog", "a cup"], clip_length=4, progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (7, 7)
    assert {total for _, total in calls} == {7}


def test_a_sentence_too_long_is_cut_and_the_rest_shown(segmenter: Segmenter, frames: np.ndarray) -> None:
    with pytest.warns(InputWarning, match=r"longer than the text encoder's 32 tokens; kept was: 'the dog moving"):
        result = segmenter(frames[:1], "the dog " + "moving " * 50)
    assert len(result.warnings) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmenter(frames[:1], "the dog " + "moving " * 28)
        segmenter(frames[:1], "the dog" + " " * 20_000)


def test_a_loss_is_part_of_the_result(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", frames=24, g="6")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(InputWarning, match="is cut off"):
        result = segmenter(path, "the dog")
    assert "is cut off" in result.warnings[0]
    assert result.masks.shape[1] == len(result) < 24
    result.save(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"expressions": []}, "There is no expression"),
        ({"expressions": ["the dog", " \n"]}, "An expression is empty"),
        ({"clip_length": 0}, "A clip of 0 frames"),
        ({"clip_length": "some"}, "A clip of some frames"),
        ({"short_side": 3}, "resized to 3 pixels"),
        ({"min_score": 2.0}, "lie between 0 and 1"),
        ({"video": "nowhere.mp4"}, "no file or folder 'nowhere.mp4'"),
    ],
)
def test_arguments_that_cannot_be_used(
    segmenter: Segmenter, frames: np.ndarray, arguments: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        segmenter(**({"video": frames, "expressions": ["the dog"]} | arguments))


def test_devices_and_types_that_do_not_exist(tiny_model: SgMg) -> None:
    with pytest.raises(InputError, match="device 'warp' is not available"):
        Segmenter(tiny_model, device="warp")
    with pytest.raises(InputError, match="'float8' is no type"):
        Segmenter(tiny_model, device="cpu", dtype="float8")  # type: ignore[arg-type]


def test_too_little_memory_is_one_sentence(
    segmenter: Segmenter, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(segmenter.model, "find", fail)
    with pytest.raises(InputError, match="smaller --clip-length or --short-side"):
        segmenter(frames, "the dog")


def test_model_folders(tiny_model: SgMg, tmp_path: Path, frames: np.ndarray) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    segmenter = Segmenter.from_pretrained(tmp_path / "model", device="cpu")
    assert (segmenter(frames, "the dog").masks == Segmenter(tiny_model, "cpu")(frames, "the dog").masks).all()
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors"):
        Segmenter.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1080, 1920), (360, 640)),
        ((540, 960), (360, 640)),
        ((480, 854), (360, 640)),
        ((1920, 1080), (640, 360)),
        ((480, 640), (360, 480)),
        ((100, 1000), (64, 640)),
        ((90, 160), (360, 640)),
        ((8, 16_000), (1, 1280)),  # a line of pixels, no longer than twice the long side
    ],
)
def test_the_size_that_the_network_sees(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Short side 360, or less where the long side would pass 640."""
    assert network_size(size, 360, 640) == expected


def test_probabilities_are_what_masks_are_cut_from(segmenter: Segmenter, frames: np.ndarray) -> None:
    with segmenter.encode(frames) as features:
        found = features.segment("the dog")
        probabilities = features.probabilities("the dog")
        assert probabilities.shape == (7, *SIZE)
        assert probabilities.dtype == np.float32
        assert ((probabilities > 0.5) == found.masks[0]).all()
        best = float(found.frame_scores.max())
        assert (features.probabilities("the dog", min_score=best) == probabilities).all()
        assert not features.probabilities("the dog", min_score=best + 1e-4).any()
    with pytest.raises(RuntimeError, match="freed"):
        features.probabilities("the dog")


def test_candidates_of_a_single_image_hold_its_mask(segmenter: Segmenter, frames: np.ndarray) -> None:
    with segmenter.encode(frames[:1]) as features:
        found, mask = features.candidates("the dog"), features.segment("the dog")
    assert found.masks.shape == (3, *SIZE)
    assert found.scores.shape == (3,)
    assert (found.best == mask.masks[0, 0]).all()
    assert found.scores.max() == mask.frame_scores[0, 0]


def test_candidates_are_of_one_frame_of_the_clip(segmenter: Segmenter, frames: np.ndarray) -> None:
    with segmenter.encode(frames) as features:
        first, last = features.candidates("the dog", 0), features.candidates("the dog", 6)
        assert (features.candidates("the dog", -1).scores == last.scores).all()
        assert (first.scores != last.scores).any()
        with pytest.raises(IndexError, match="clips of 7 frames"):
            features.candidates("the dog", 7)
        with pytest.raises(InputError, match="expression is empty"):
            features.candidates(" ", 0)
    with pytest.raises(RuntimeError, match="freed"):
        features.candidates("the dog", 0)
