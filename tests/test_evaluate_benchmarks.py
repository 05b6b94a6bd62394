"""Every benchmark, as it is typed: generated data in its layout, a model's scores, and the same from what was kept."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos

pytest.importorskip("h5py")
pytest.importorskip("faster_coco_eval")

#: Layout to benchmark, and the split that is written, where one is.
VIDEOS = {"ref-youtube-vos": "valid", "ref-davis17": "valid", "ref-davis17-raw": None, "mevis": "valid_u"}
FRAMES = ["a2d", "jhmdb", "refcoco", "refcoco+", "refcocog"]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the data of each layout lies; written when it is first asked for."""
    folder = tmp_path_factory.mktemp("data")

    class Roots(dict[str, Path]):
        def __missing__(self, layout: str) -> Path:
            config = SyntheticConfig(size=(48, 64), length=3, objects=(2, 2), expressions=3)
            write_videos(folder / layout, config, seed=2, count=5, layout=layout, split=VIDEOS.get(layout))
            self[layout] = folder / layout
            return self[layout]

    return Roots()


def masks_in(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("layout", VIDEOS)
def test_videos(run, roots: dict[str, Path], model: Path, tmp_path: Path, layout: str) -> None:
    words = ("evaluate", layout.removesuffix("-raw"), roots[layout], "--workers", 1)
    files = ("--csv", tmp_path / "videos.csv", "--csv-expressions", tmp_path / "expressions.csv")
    code, out, err = run(*words, "--model", model, "--json", "--keep", tmp_path / "kept", *files)
    assert code == 0, err
    result = json.loads(out)
    assert 0 < result["J&F"] < 100
    assert result["J&F"] == pytest.approx((result["J"] + result["F"]) / 2)
    if layout.startswith("ref-davis17"):
        assert len(result["annotators"]) == 4
        means = [annotator["J&F"] for annotator in result["annotators"]]
        assert result["J&F"] == pytest.approx(np.mean(means))
        assert set(np.unique(masks_in(tmp_path / "kept" / "anno_3"))) <= {0, 1, 2}
    else:
        assert set(np.unique(masks_in(tmp_path / "kept"))) <= {0, 255}
    assert len(rows(tmp_path / "videos.csv")) == result["videos"]
    assert np.mean([float(row["J"]) for row in rows(tmp_path / "expressions.csv") if row["present"] == "True"]) == (
        pytest.approx(result["J"])
    )

    code, out, err = run(*words, "--predictions", tmp_path / "kept", "--json")
    assert (code, json.loads(out)) == (0, result), err
    code, out, _ = run(*words, "--predictions", tmp_path / "kept")
    assert code == 0
    assert f"{result['J&F']:.1f}" in out

    broken = next((tmp_path / "kept").rglob("*.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    code, out, err = run(*words, "--predictions", tmp_path / "kept")
    assert (code, out) == (2, "")
    assert f"Error: {broken}" in err


@pytest.mark.parametrize("benchmark", FRAMES)
def test_single_frames(run, roots: dict[str, Path], model: Path, tmp_path: Path, benchmark: str) -> None:
    words = ("evaluate", benchmark, roots[benchmark])
    code, out, err = run(*words, "--model", model, "--json", "--keep", tmp_path / "kept", "--csv", tmp_path / "v.csv")
    assert code == 0, err
    result = json.loads(out)
    assert 0 < result["overall IoU"] < 100
    assert ("mAP" in result) == (benchmark in ("a2d", "jhmdb"))
    assert result["P@0.5"] >= result["P@0.9"]
    assert len(rows(tmp_path / "v.csv")) == result["videos"]

    code, out, err = run(*words, "--predictions", tmp_path / "kept", "--json")
    assert (code, json.loads(out)) == (0, result), err
    code, out, _ = run(*words, "--predictions", tmp_path / "kept" / "predictions.json")
    assert code == 0
    assert f"{result['mean IoU']:.1f}" in out

    path = tmp_path / "kept" / "predictions.json"
    path.write_text(path.read_text()[:-20])
    code, out, err = run(*words, "--predictions", path)
    assert (code, out) == (2, "")
    assert "predictions.json is not valid JSON" in err


def test_perfect_labels_score_100_and_mixed_up_ones_only_where_objects_are_matched(
    run, roots: dict[str, Path], tmp_path: Path
) -> None:
    from sgmg.data.images import save_labels
    from sgmg.data.ref_davis import RefDAVIS17

    data = RefDAVIS17(roots["ref-davis17"], "valid")
    for video in data.videos:
        labels = data.annotations(video).numpy().astype(np.uint8)
        for annotator in range(4):
            folder = tmp_path / "kept" / "Annotations" / f"anno_{annotator}" / video.name
            folder.mkdir(parents=True)
            # The fourth annotator's objects change places.
            swapped = np.array([0, 2, 1, *range(3, 256)], np.uint8)[labels] if annotator == 3 else labels
            for frame, label in zip(video.frames, swapped, strict=True):
                save_labels(folder / f"{frame}.png", label)
    words = ("evaluate", "ref-davis17", roots["ref-davis17"], "--workers", 1, "--predictions", tmp_path / "kept")
    result = json.loads(run(*words, "--json")[1])
    assert [one["J&F"] for one in result["annotators"][:3]] == [100, 100, 100]
    assert result["annotators"][3]["J&F"] < 50
    assert json.loads(run(*words, "--json", "--match-objects")[1])["J&F"] == 100


def test_void_counts_for_nothing_and_matching_counts_objects_that_nobody_means(
    run, roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the DAVIS 2017 evaluation has it, which knows only what is annotated."""
    monkeypatch.setattr("sgmg.evaluation.video_masks.FRAMES_AT_ONCE", 2)  # fewer than the video has
    from sgmg.data.images import save_labels
    from sgmg.data.ref_davis import RefDAVIS17

    root = shutil.copytree(roots["ref-davis17"], tmp_path / "data")
    expressions = root / "meta_expressions/valid/meta_expressions.json"
    lists = json.loads(expressions.read_text())
    name = next(name for name, video in lists["videos"].items() if len(video["expressions"]) == 8)
    video = lists["videos"][name]
    lists["videos"] = {name: video | {"expressions": {str(k): video["expressions"][str(k)] for k in range(4)}}}
    expressions.write_text(json.dumps(lists))
    data = RefDAVIS17(root)
    labels = data.annotations(data.videos[0]).numpy().astype(np.uint8)
    assert set(np.unique(labels[0])) >= {1, 2}
    for t, frame in enumerate(video["frames"]):
        annotation, prediction = labels[t].copy(), np.where(labels[t] == 1, 1, 0).astype(np.uint8)
        annotation[:8], prediction[:8] = 255, 1
        save_labels(root / f"valid/Annotations/{name}/{frame}.png", annotation)
        for annotator in range(4):
            (tmp_path / f"kept/anno_{annotator}/{name}").mkdir(parents=True, exist_ok=True)
            save_labels(tmp_path / f"kept/anno_{annotator}/{name}/{frame}.png", prediction)
    words = ("evaluate", "ref-davis17", root, "--workers", 1, "--predictions", tmp_path / "kept", "--json")
    assert json.loads(run(*words)[1])["J&F"] == 100
    matched = json.loads(run(*words, "--match-objects")[1])
    missed = 100 * np.mean([not (frame[8:] == 2).any() for frame in labels])  # empty where it is to be empty
    assert matched["J"] == matched["F"] == pytest.approx((100 + missed) / 2)
    assert matched["expressions"] == 8  # two objects for each annotator


def test_mistakes_end_with_one_sentence(run, roots: dict[str, Path], tmp_path: Path) -> None:
    root = roots["refcoco"]
    for words, message in (
        ((root, "--split", "nowhere"), "nowhere"),
        ((root, "--predictions", tmp_path / "nowhere.json"), "nowhere.json is missing"),
        ((root, "--predictions", "x", "--keep", "y"), "choose --predictions or --keep"),
        ((root, "--csv", tmp_path / "nowhere" / "x.csv"), "x.csv' cannot be written"),
        ((tmp_path / "nowhere",), "nowhere"),
    ):
        code, out, err = run("evaluate", "refcoco", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.strip().splitlines()[-1].startswith("Error: ")


def test_objects_are_merged_by_probability() -> None:
    from sgmg.evaluation.ref_davis import merge

    first, second = np.array([[[0.5, 0.6, 0.9, 0.7]]], np.float32), np.array([[[0.4, 0.8, 0.6, 0.7]]], np.float32)
    assert merge(iter([first, second])).tolist() == [[[0, 2, 1, 1]]]
