"""A saved result is loaded again, and believed only as far as it can be checked."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from videos import STEP, square_frame, square_x, write_video

from sgmg import Segmentation
from sgmg.errors import InputError
from sgmg.video import Excerpt, open_video

SIZE = (72, 96)
EXPRESSIONS = ["the white square", "犬, \"quoted\" & 'so'"]


@pytest.fixture
def saved(tmp_path: Path) -> Segmentation:
    """A result of two expressions in three frames, saved in "out" beside its video."""
    masks = np.random.default_rng(0).random((2, 3, *SIZE)) < 0.5
    masks[1, 2] = False
    video = write_video(tmp_path / "in.mp4", frames=3)
    result = Segmentation.from_masks(masks, EXPRESSIONS, np.array([[0.9, 0.8, 0.7], [0, 0.5, 1]]), open_video(video))
    result.model, result.settings, result.warnings = "sgmg-lite", {"clip_length": 36}, ["A warning."]
    result.save(tmp_path / "out", format="npz")
    return result


def test_what_is_loaded_is_what_was_saved(saved: Segmentation, tmp_path: Path) -> None:
    for place in (tmp_path / "out", tmp_path / "out" / "result.json", str(tmp_path / "out")):
        loaded = Segmentation.load(place)
        assert (loaded.masks == saved.masks).all()
        assert loaded.expressions == EXPRESSIONS
        assert loaded.frame_scores == pytest.approx(saved.frame_scores, abs=1e-6)
        assert loaded.times == pytest.approx(saved.times, abs=1e-6)
        for name in ("size", "fps", "frame_names", "source", "model", "settings", "warnings"):
            assert getattr(loaded, name) == getattr(saved, name)


def test_the_video_is_found_where_it_was(saved: Segmentation, tmp_path: Path) -> None:
    loaded = Segmentation.load(tmp_path / "out")
    loaded.save(tmp_path / "again", format=["overlay", "coco"])
    assert (tmp_path / "again" / "overlay.mp4").exists()


@pytest.mark.parametrize("change", [Path.unlink, lambda path: write_video(path, size=(48, 48)), Path.touch])
def test_a_video_that_is_gone_is_missed_only_where_it_is_needed(
    saved: Segmentation, tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    video = tmp_path / "in.mp4"
    if change is Path.touch:
        video.write_bytes(b"no video")
    else:
        change(video)
    loaded = Segmentation.load(tmp_path / "out")
    assert loaded.video is None
    loaded.save(tmp_path / "cvat", format="cvat")
    with pytest.raises(InputError, match="not at hand any more"):
        loaded.save(tmp_path / "overlay", format="overlay")


def test_the_video_may_have_moved(saved: Segmentation, tmp_path: Path) -> None:
    moved = (tmp_path / "in.mp4").rename(tmp_path / "moved.mp4")
    Segmentation.load(tmp_path / "out", video=moved).save(tmp_path / "again", format="overlay")
    with pytest.raises(InputError, match=r"is 48x48, but the masks of .* are 96x72; give the video"):
        Segmentation.load(tmp_path / "out", video=write_video(tmp_path / "other.mp4", size=(48, 48)))
    with pytest.raises(InputError, match="no file or folder"):
        Segmentation.load(tmp_path / "out", video="missing.mp4")


def test_a_folder_of_images_keeps_the_rate_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(2):
        Image.fromarray(square_frame(index)).save(tmp_path / "frames" / f"shot {index}.png")
    result = Segmentation.from_masks(np.ones((1, 2, *SIZE), bool), ["all"], video=open_video(tmp_path / "frames", 5))
    result.save(tmp_path / "out", format="davis")
    loaded = Segmentation.load(tmp_path / "out")
    assert loaded.video is not None
    assert (loaded.fps, loaded.video.fps) == (5, 5)


def test_a_result_of_an_excerpt_is_laid_over_the_frames_it_is_of(tmp_path: Path) -> None:
    whole = open_video(write_video(tmp_path / "in.mp4", frames=24, sound="aac"))
    excerpt = Excerpt(whole, 0.5, 1.25)
    names = [frame.name for frame in excerpt]
    result = Segmentation.from_masks(np.ones((1, len(names), *SIZE), bool), ["all"], video=excerpt)
    result.frame_names = names
    assert names[0] == "00006"
    result.save(tmp_path / "out", format="davis")
    cut = Segmentation.load(tmp_path / "out").save(tmp_path / "again", format="cutout-prores") / "cutout-prores"
    written = open_video(cut / "0-all.mov")
    assert [square_x(frame.image) for frame in written] == [STEP * index for index in range(6, 15)]
    with av.open(str(cut / "0-all.mov")) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(0.75, abs=0.1)


def edit(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Change one value of a parsed result."""

    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


FRAME = ("expressions", 0, "frames", 1)
HOSTILE = {
    "a name that leaves the folder": (edit(*FRAME, "frame", to="../../escaped"), "frame 1 of expression 0 has a name"),
    "a name for Windows' eyes": (edit(*FRAME, "frame", to="C:escaped"), "has a name that is none for a file"),
    "a name of dots": (edit(*FRAME, "frame", to=".."), "has a name that is none for a file"),
    "a name that repeats": (edit(*FRAME, "frame", to="00000"), "two have one name"),
    "other frames": (edit(*FRAME, "frame", to="other"), "not of the same frames"),
    "a score of 2": (edit(*FRAME, "score", to=2), 'has no "score" that is possible'),
    "no number": (edit(*FRAME, "time", to=float("nan")), 'has no "time" that is possible'),
    "a time without end": (edit(*FRAME, "time", to=float("inf")), 'has no "time" that is possible'),
    "a number of a page": (edit(*FRAME, "time", to=10**400), 'has no "time" that is possible'),
    "true for a number": (edit(*FRAME, "score", to=True), 'has no "score" that is possible'),
    "masks of another size": (edit(*FRAME, "rle", "size", to=[9, 9]), "a mask must have the size of its frame"),
    "damaged run lengths": (edit(*FRAME, "rle", "counts", to="!!"), "run lengths are damaged"),
    "uncompressed run lengths": (edit(*FRAME, "rle", "counts", to=[SIZE[0] * SIZE[1]]), "not compressed"),
    "a huge picture": (edit("width", to=10**9), "its width is 1000000000"),
    "a rate of nothing": (edit("frame_rate_exact", to="1/0"), "frame rate is not possible"),
    "a rate of a book": (edit("frame_rate_exact", to="1" * 10_000), "frame rate is not possible"),
    "no expressions": (edit("expressions", to=[]), "no expressions"),
    "an expression that cannot be written": (edit("expressions", 0, "expression", to="a\ud800"), "cannot be written"),
    "a name of two lines": (edit(*FRAME, "frame", to="0\n1"), "has a name that is none for a file"),
    "no frames": (edit("expressions", 0, "frames", to=[]), "frames are none"),
    "a list for a word": (edit("source", to=["x"]), 'has no "source"'),
    "frames of words": (edit("expressions", 0, "frames", to=["x"]), 'has no "frame"'),
}


@pytest.mark.parametrize(("change", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_a_changed_result_is_refused_by_name(saved: Segmentation, tmp_path: Path, change, sentence: str) -> None:
    file = tmp_path / "out" / "result.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json") as caught:
        Segmentation.load(file)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe{", b'{"a":' * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match=r"result\.json"):
        Segmentation.load(tmp_path)
    with pytest.raises(InputError, match="give a folder that `sgmg segment` wrote"):
        Segmentation.load(tmp_path / "missing")


def test_letters_as_people_and_their_computers_write_them(tmp_path: Path) -> None:
    """A line's end, an emoji of several letters, and the narrow space in the names of screenshots."""
    masks = np.ones((2, 1, *SIZE), bool)
    made = Segmentation.from_masks(masks, ["the dog\n", "the \U0001f469\u200d\U0001f680"])
    made.frame_names = ["Screenshot at 10.15\u202fAM"]
    made.save(tmp_path / "out", format="davis")
    again = Segmentation.load(tmp_path / "out")
    assert (again.expressions, again.frame_names) == (made.expressions, made.frame_names)


def test_a_source_in_the_home_of_somebody_else(saved: Segmentation, tmp_path: Path) -> None:
    file = tmp_path / "out" / "result.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {"source": "~nobody-of-this-name/in.mp4"}), encoding="utf-8")
    assert Segmentation.load(file).video is None


def test_a_source_that_would_never_end_is_not_opened(saved: Segmentation, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    os.mkfifo(tmp_path / "pipe.mp4")
    file = tmp_path / "out" / "result.json"
    file.write_text(file.read_text(encoding="utf-8").replace("in.mp4", "pipe.mp4"), encoding="utf-8")
    assert Segmentation.load(file).video is None


# --- sgmg save-as -----------------------------------------------------------------------------------------


def test_the_command(saved: Segmentation, tmp_path: Path, run) -> None:
    out = tmp_path / "new"
    code, output, _ = run("save-as", tmp_path / "out", "-o", out, "--format", "cvat", "--format", "blur")
    assert code == 0
    assert f"look at {out / 'cvat.xml'}, {out / 'blur.mp4'}" in output
    assert sorted(path.name for path in out.iterdir()) == ["blur.mp4", "cvat.xml", "result.json"]
    assert (Segmentation.load(out).masks == saved.masks).all(), "it can be saved as something else again"

    code, output, error = run("save-as", out, "-o", tmp_path / "json", "-f", "davis", "--json", "-q")
    assert (code, error) == (0, "")
    assert json.loads(output)["files"] == {"davis": "davis"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing", "-o", "new"], "There is no 'missing'"),
        (["out", "-o", "new", "--format", "mpeg"], "There is no format 'mpeg'; choose from overlay"),
        (["out", "-o", "out"], "exists already; choose another output or pass --overwrite"),
        (["out", "-o", "new", "--video", "missing.mp4"], "There is no file or folder 'missing.mp4'"),
    ],
)
def test_what_the_command_cannot_do_is_one_sentence(
    saved: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = run("save-as", *words)
    assert code == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
