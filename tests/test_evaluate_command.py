"""`sgmg evaluate`, as it is typed."""

import json
from pathlib import Path

import pytest
from ref_youtube_vos_layout import write_dataset
from test_evaluation import keep

from sgmg.data.ref_youtube_vos import RefYouTubeVOS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data")
    return tmp_path / "data"


def test_json_is_one_object_and_nothing_else(run, root: Path, model: Path) -> None:
    code, out, _ = run("evaluate", "ref-youtube-vos", root, "--model", model, "--json")
    assert code == 0
    result = json.loads(out)
    assert 0 <= result["J&F"] <= 100
    assert result["J&F"] == pytest.approx((result["J"] + result["F"]) / 2)
    assert set(result["kinds"]) == {"colour", "position"}
    assert result["absent"]["expressions"] == 1


def test_what_scores_too_low_is_left_empty(run, root: Path, model: Path) -> None:
    words = ("evaluate", "ref-youtube-vos", root, "--model", model, "--json", "--min-score")
    assert json.loads(run(*words, 1)[1])["absent"] == {"expressions": 1, "empty": 100, "empty_frames": 100}


def test_shuffled_expressions_and_clip_lengths(run, root: Path, model: Path) -> None:
    words = ("evaluate", "ref-youtube-vos", root, "--model", model, "--json", "--shuffle-expressions", "--clip-length")
    results = [json.loads(run(*words, length)[1]) for length in ("all", 36, 2)]
    assert results[0] == results[1]
    assert all(result["shuffled"] and result["expressions"] == 3 for result in results)


def test_kept_predictions_need_no_model(run, root: Path, tmp_path: Path) -> None:
    keep(tmp_path / "kept", RefYouTubeVOS(root, "valid"))
    code, out, _ = run("evaluate", "ref-youtube-vos", root, "--predictions", tmp_path / "kept")
    assert code == 0
    assert "75.0" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "train"), "meta_expressions.json is missing"),
        (("--clip-length", "0"), "A clip of '0' frames"),
        (("--clip-length", "some"), "A clip of 'some' frames"),
        (("--min-score", "2"), "2.0"),
        (("--model", "nowhere", "--predictions", "kept"), "choose --model or --predictions"),
        (("--predictions", "nowhere"), "nowhere is not a folder"),
    ],
    ids=" ".join,
)
def test_mistakes_end_with_one_sentence(run, root: Path, model: Path, words: tuple[str, ...], message: str) -> None:
    if "--predictions" not in words:
        words = (*words, "--model", str(model))
    code, out, err = run("evaluate", "ref-youtube-vos", root, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.strip().splitlines()[-1].startswith("Error: ")
