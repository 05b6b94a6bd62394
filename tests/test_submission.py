"""Submissions: complete or not there, and going on where they stopped."""

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ref_youtube_vos_layout import write_dataset
from test_evaluation import perfect

from sgmg.data.benchmarks import open_benchmark
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.data.video_data import Expression, Video
from sgmg.errors import InputError
from sgmg.evaluation import submission
from sgmg.evaluation.expressions import evaluate
from sgmg.evaluation.submission import partial_folder, submit
from sgmg.evaluation.video_masks import KeptPredictor, VideoMasks
from sgmg.model import SgMg


@pytest.fixture
def data(tmp_path: Path) -> RefYouTubeVOS:
    write_dataset(tmp_path / "data")
    return RefYouTubeVOS(tmp_path / "data", "valid")


class Recorder:
    """Knows every answer, notes which videos it was asked for, and may be interrupted."""

    def __init__(self, stop_at: str = "") -> None:
        self.asked: list[str] = []
        self.stop_at = stop_at

    def __call__(self, data: RefYouTubeVOS, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
        if video.name == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(video.name)
        return perfect(data, video, expressions)


def test_the_zip_holds_every_mask_and_scores_when_unpacked(data: RefYouTubeVOS, tmp_path: Path) -> None:
    target = submit(data, Recorder(), tmp_path / "out.zip", settings={})
    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
        assert names == {
            f"Annotations/{video.name}/{expression.id}/{frame}.png"
            for video in data.videos
            for expression in video.expressions
            for frame in video.frames
        }
        image = Image.open(BytesIO(archive.read("Annotations/pair/0/00000.png")))
        assert (image.mode, image.size) == ("L", (60, 40))
        assert set(np.unique(image)) == {0, 255}
        archive.extractall(tmp_path / "unpacked")
    assert evaluate(data, KeptPredictor(tmp_path / "unpacked")).to_dict()["J&F"] == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.zip", "unpacked"]


def test_an_interrupted_run_goes_on_where_it_stopped(data: RefYouTubeVOS, tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    with pytest.raises(KeyboardInterrupt):
        submit(data, Recorder(stop_at="single"), target, settings={"model": "a"})
    assert not target.exists()
    with pytest.raises(InputError, match="interrupted run with another model: repeat that run, pass --overwrite"):
        submit(data, Recorder(), target, settings={"model": "b"})
    second = Recorder()
    submit(data, second, target, settings={"model": "a"})
    assert second.asked == ["single"]
    assert target.exists()
    assert not partial_folder(target).exists()


def test_overwrite_begins_anew_with_other_settings_and_goes_on_with_the_same(
    data: RefYouTubeVOS, tmp_path: Path
) -> None:
    target = tmp_path / "out.zip"
    for settings, asked in (({"model": "a"}, ["pair"]), ({"model": "b"}, ["pair"]), ({"model": "b"}, [])):
        interrupted = Recorder(stop_at="single")
        with pytest.raises(KeyboardInterrupt):
            submit(data, interrupted, target, settings=settings, overwrite=True)
        assert interrupted.asked == asked
    (partial_folder(target) / "settings.json").write_text("[]")  # nobody can tell what its videos are of
    with pytest.raises(InputError, match="another model"):
        submit(data, Recorder(), target, settings={"model": "b"})


@pytest.mark.parametrize("damage", ["missing", "truncated", "small", "grey"])
def test_what_was_damaged_since_is_predicted_again(data: RefYouTubeVOS, tmp_path: Path, damage: str) -> None:
    target = tmp_path / "out.zip"
    with pytest.raises(KeyboardInterrupt):
        submit(data, Recorder(stop_at="single"), target, settings={})
    mask = partial_folder(target) / "Annotations" / "pair" / "1" / "00005.png"
    if damage == "missing":
        mask.unlink()
    elif damage == "truncated":
        mask.write_bytes(mask.read_bytes()[:50])
    else:
        Image.new("L", (60, 40) if damage == "grey" else (30, 20), 128).save(mask)
    again = Recorder()
    submit(data, again, target, settings={})
    assert again.asked == ["pair", "single"]


def test_no_zip_of_masks_that_are_wrong(data: RefYouTubeVOS, tmp_path: Path) -> None:
    def small(data: RefYouTubeVOS, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
        return [lambda indices: np.zeros((len(indices), 20, 30), bool)] * len(expressions)

    with pytest.raises(InputError, match="30x20, but their frames are 60x40"):
        submit(data, small, tmp_path / "out.zip", settings={})
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("out", "must end in .zip"), ("nowhere/out.zip", "not a folder"), ("is.zip", "exists already")],
)
def test_outputs_that_cannot_be_written(data: RefYouTubeVOS, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "is.zip").write_text("precious")
    with pytest.raises(InputError, match=message):
        submit(data, Recorder(), tmp_path / name, settings={})
    assert (tmp_path / "is.zip").read_text() == "precious"
    submit(data, Recorder(), tmp_path / "is.zip", settings={}, overwrite=True)
    assert zipfile.is_zipfile(tmp_path / "is.zip")


@pytest.mark.parametrize(("benchmark", "split"), [("ref-youtube-vos", "valid"), ("mevis", "valid")])
def test_as_it_is_typed(run, model: Path, tmp_path: Path, benchmark: str, split: str) -> None:
    config = SyntheticConfig(size=(48, 64), length=2, objects=(2, 2), expressions=2)
    write_videos(tmp_path / "data", config, seed=1, count=2, layout=benchmark, split=split)
    words = ("predict", benchmark, tmp_path / "data", "--model", model, "-o", tmp_path / "out.zip")
    code, out, err = run(*words)
    assert code == 0, err
    assert "Saved 2 videos" in out
    names = zipfile.ZipFile(tmp_path / "out.zip").namelist()
    videos = open_benchmark(benchmark, tmp_path / "data", split).videos
    assert len(set(names)) == len(names) == sum(len(v.expressions) * len(v.frames) for v in videos) > 0
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "exists already" in err
    assert run(*words, "--overwrite")[0] == 0


def test_another_model_of_the_same_name_does_not_go_on(
    run, tiny_model: SgMg, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SyntheticConfig(size=(48, 64), length=2, objects=(2, 2), expressions=2)
    write_videos(tmp_path / "data", config, seed=1, count=2, split="valid")
    words = ("predict", "ref-youtube-vos", tmp_path / "data", "--model", model, "-o", tmp_path / "out.zip")
    with monkeypatch.context() as broken:
        broken.setattr(submission, "_zip", interrupt)
        assert run(*words)[0] != 0
    with torch.no_grad():
        tiny_model.transformer.level_embedding += 1
    tiny_model.save_pretrained(model)
    code, _, err = run(*words)
    assert code == 2
    assert "interrupted run with another model" in err
    assert not (tmp_path / "out.zip").exists()
    assert run(*words, "--overwrite")[0] == 0


def interrupt(*_: object) -> None:
    """As control-C does."""
    raise KeyboardInterrupt


def test_a_digest_is_of_what_a_model_is_not_of_its_name(tiny_model: SgMg, model: Path, tmp_path: Path) -> None:
    tiny_model.write_folder(tmp_path / "apart", encoders_apart=True)
    assert {SgMg.from_pretrained(folder).digest() for folder in (model, tmp_path / "apart")} == {tiny_model.digest()}
    digests = {tiny_model.digest()}
    tiny_model.config.min_score += 0.1
    digests.add(tiny_model.digest())
    with torch.no_grad():
        next(tiny_model.parameters()).view(-1)[0] += 1
    digests.add(tiny_model.digest())
    assert len(digests) == 3


@pytest.mark.parametrize("left", [None, "", '{"model": "ti'])
def test_a_run_that_was_killed_at_its_beginning_is_begun_anew(
    data: RefYouTubeVOS, tmp_path: Path, left: str | None
) -> None:
    partial = partial_folder(tmp_path / "out.zip")
    partial.mkdir()
    if left is not None:
        (partial / "settings.json").write_text(left)
    assert submit(data, Recorder(), tmp_path / "out.zip", settings={"model": "tiny"}).exists()
    assert not partial.exists()
