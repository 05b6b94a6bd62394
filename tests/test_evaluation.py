"""J&F over expressions: what counts, what is reported beside, and shuffled expressions."""

import io
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from ref_youtube_vos_layout import write_dataset, write_list
from rich.console import Console

from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.video_data import Expression, Video
from sgmg.errors import InputError
from sgmg.evaluation import video_masks
from sgmg.evaluation.expressions import evaluate
from sgmg.evaluation.report import evaluation_table
from sgmg.evaluation.video_masks import (
    DatasetVideo,
    EncodedMasks,
    KeptPredictor,
    ModelPredictor,
    VideoMasks,
    save_masks,
)
from sgmg.segmentation import encode_masks


@pytest.fixture
def data(tmp_path: Path) -> RefYouTubeVOS:
    """Video "pair": objects 1 (two expressions), 2 (one) and one that is not there; "single": object 1."""
    write_dataset(tmp_path / "data")
    return RefYouTubeVOS(tmp_path / "data", "valid")


def perfect(data: RefYouTubeVOS, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
    """Knows the answer to each expression."""
    return [EncodedMasks.of(data.masks(video, expression).numpy()) for expression in expressions]


def deaf(data: RefYouTubeVOS, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
    """Says the same whatever is asked: object 1."""
    return [EncodedMasks.of(data.annotations(video).numpy() == 1)] * len(expressions)


def test_perfect_masks_score_100(data: RefYouTubeVOS) -> None:
    result = evaluate(data, perfect).to_dict()
    assert (result["J"], result["F"], result["J&F"]) == (100, 100, 100)
    assert (result["videos"], result["expressions"]) == (2, 4)
    assert result["absent"] == {"expressions": 1, "empty": 100, "empty_frames": 100}
    assert not result["shuffled"]


def test_means_are_over_expressions_that_are_there_and_by_kind(data: RefYouTubeVOS) -> None:
    result = evaluate(data, deaf).to_dict()
    # Three of four expressions mean object 1. For object 2, which is absent from the last of three frames
    # while object 1 is not, every frame scores 0.
    assert result["J"] == result["F"] == result["J&F"] == 75
    assert result["kinds"]["colour"] == {"J": 100, "F": 100, "J&F": 100, "expressions": 2}
    assert result["kinds"]["position"]["J"] == 50
    assert result["absent"] == {"expressions": 1, "empty": 0, "empty_frames": 0}


def test_shuffled_expressions_tell_who_listens(data: RefYouTubeVOS) -> None:
    listening = evaluate(data, perfect, shuffle_expressions=True).to_dict()
    # Objects 1 and 2 swapped: only J and F of frames where neither is, and there is none.
    assert listening["J&F"] == 0
    assert listening["own"]["J&F"] == 100
    assert listening["expressions"] == listening["own"]["expressions"] == 3
    assert listening["skipped"] == 1  # the only object of its video
    assert listening["absent"]["expressions"] == 0

    same_for_all = evaluate(data, deaf, shuffle_expressions=True).to_dict()
    assert same_for_all["J&F"] == same_for_all["own"]["J&F"] == pytest.approx(200 / 3)


def test_shuffling_never_asks_with_the_same_words(tmp_path: Path) -> None:
    videos = write_dataset(tmp_path)
    for expression in videos["pair"]["expressions"].values():
        expression["exp"] = "a Square"
    videos["pair"]["expressions"]["1"]["exp"] = "a square"
    write_list(tmp_path, "valid", videos)
    result = evaluate(RefYouTubeVOS(tmp_path, "valid"), perfect, shuffle_expressions=True)
    assert (len(result.scores), result.skipped) == (0, 4)
    assert result.to_dict()["J&F"] is None


def test_limit_counts_videos(data: RefYouTubeVOS) -> None:
    result = evaluate(data, perfect, limit=1, workers=1)
    assert {score.video for score in result.scores} == {"pair"}


def test_a_model_is_asked_once_per_video_with_each_sentence_once(data: RefYouTubeVOS) -> None:
    asked: list[tuple[int, list[str]]] = []

    def segmenter(video: DatasetVideo, expressions: list[str], **options: object) -> SimpleNamespace:
        assert options == {"clip_length": 7, "min_score": 0.25, "overlap": 0}
        frames = np.stack([frame.image for frame in video])
        assert video.size == (40, 60)
        assert frames.shape == (3, 40, 60, 3)
        assert frames.dtype == np.uint8
        asked.append((len(frames), expressions))
        return SimpleNamespace(rles=[encode_masks(np.zeros(frames.shape[:3], bool))] * len(expressions))

    result = evaluate(data, ModelPredictor(segmenter, 7, 0.25)).to_dict()  # type: ignore[arg-type]
    assert [length for length, _ in asked] == [3, 3]
    assert asked[1] == (3, ["the red square"])
    # Object 2 is rightly not found in one of its three frames.
    assert result["J"] == pytest.approx(100 * (1 / 3) / 4)
    assert result["absent"]["empty"] == 100


def test_long_videos_are_scored_and_kept_in_parts_as_at_once(
    data: RefYouTubeVOS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(data, deaf, keep=tmp_path / "whole")
    monkeypatch.setattr(video_masks, "FRAMES_AT_ONCE", 2)  # of three frames
    assert evaluate(data, deaf, keep=tmp_path / "parts") == whole
    kept = {
        folder: {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}
        for folder in (tmp_path / "whole", tmp_path / "parts")
    }
    assert kept[tmp_path / "whole"] == kept[tmp_path / "parts"] != {}


def keep(folder: Path, data: RefYouTubeVOS) -> None:
    for video in data.videos:
        for expression, masks in zip(video.expressions, deaf(data, video, video.expressions), strict=True):
            save_masks(masks, folder / video.name / expression.id, video.frames)


@pytest.mark.parametrize("prefix", ["", "Annotations"])
def test_kept_predictions_score_as_when_they_were_made(data: RefYouTubeVOS, tmp_path: Path, prefix: str) -> None:
    keep(tmp_path / "kept" / prefix, data)
    assert evaluate(data, KeptPredictor(tmp_path / "kept")) == evaluate(data, deaf)


def test_kept_predictions_must_be_complete_and_of_the_right_size(data: RefYouTubeVOS, tmp_path: Path) -> None:
    keep(tmp_path, data)
    folder = tmp_path / "single" / "0"
    for path in folder.iterdir():
        Image.open(path).resize((30, 20)).save(path)
    with pytest.raises(InputError, match="30x20, but their frames are 60x40"):
        evaluate(data, KeptPredictor(tmp_path))
    (folder / "00005.png").unlink()
    with pytest.raises(InputError, match=r"00005.png is missing"):
        evaluate(data, KeptPredictor(tmp_path))
    with pytest.raises(InputError, match="not a folder"):
        KeptPredictor(tmp_path / "nowhere")


def test_a_split_without_annotations_cannot_be_scored(data: RefYouTubeVOS) -> None:
    data.annotated = False
    with pytest.raises(InputError, match="no annotations to score against"):
        evaluate(data, perfect)


def test_the_table_has_kinds_the_mean_and_what_is_not_there(data: RefYouTubeVOS) -> None:
    shown = io.StringIO()
    Console(width=100, file=shown).print(evaluation_table(evaluate(data, deaf), "valid"))
    lines = [" ".join(line.replace("│", " ").split()) for line in shown.getvalue().splitlines()]
    assert "colour 2 100.0 100.0 100.0" in lines
    assert "all whose object is there 4 75.0 75.0 75.0" in lines
    assert "not there: 0.0 % left empty 1" in lines


def test_frames_of_other_sizes_are_refused(data: RefYouTubeVOS) -> None:
    path = data.frames_folder / "single" / "00005.jpg"
    Image.open(path).resize((30, 20)).save(path)
    with pytest.raises(InputError, match="00005 of single is 30x20, but its first is 60x40"):
        list(DatasetVideo(data, data.videos[1]))
