"""Long videos: parts of them, written clip by clip, and gone on with after an interruption."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from videos import STEP, square_frame, square_x, write_video

from sgmg import Segmentation, Segmenter
from sgmg.errors import InputError, InputWarning
from sgmg.formats.frames import FoundFrame
from sgmg.live import open_stream
from sgmg.model import SgMg
from sgmg.video import Excerpt, open_video, read_video

SOURCES = Path(__file__).parents[1] / "src"


@pytest.fixture
def segmenter(tiny_model: SgMg) -> Segmenter:
    return Segmenter(tiny_model, device="cpu", name="tiny")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "squares.mp4", frames=19, sound="aac", g="5")


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- into a folder ------------------------------------------------------------------------------------------


def test_clip_by_clip_writes_what_a_call_and_save_write(segmenter: Segmenter, video: Path, tmp_path: Path) -> None:
    options = {"clip_length": 5, "overlap": 2}
    result = segmenter(video, ["the dog", "a cup"], **options)
    result.save(tmp_path / "one", ["overlay", "masks", "davis"])
    done = segmenter.to_folder(video, ["the dog", "a cup"], tmp_path / "two", ["overlay", "masks", "davis"], **options)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    assert (done.folder, done.frames) == (tmp_path / "two", 19)
    assert done.scores == pytest.approx(result.scores)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "squares.mp4", "two"]


def test_frames_are_written_while_later_ones_are_not_read(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    ahead: list[int] = []

    def source():
        for index in range(12):
            read.append(index)
            yield square_frame(index)

    def look(found: FoundFrame) -> None:
        ahead.append(read[-1] - found.index)

    segmenter.to_folder(open_stream(source()), "the dog", tmp_path / "out", clip_length=3, overlap=0, on_frame=look)
    assert len(ahead) == 12
    assert max(ahead) == 2, "no further than to the end of the clip"


def test_a_live_source_that_stalls_leaves_a_result(segmenter: Segmenter, tmp_path: Path) -> None:
    content = write_video(tmp_path / "v.y4m", "wrapped_avframe", frames=6).read_bytes()
    reading, writing = os.pipe()
    os.write(writing, content)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        stalled = open_stream(pipe, timeout=1.5)
        with pytest.raises(InputError, match=r"has given no frame for 1.5 seconds.* The \d frames before that are in"):
            segmenter.to_folder(stalled, "the dog", tmp_path / "out", clip_length=2)
        os.close(writing)
    found = Segmentation.load(tmp_path / "out")
    assert len(found) >= 4
    assert "has given no frame" in found.warnings[-1]


# --- resuming -----------------------------------------------------------------------------------------------


class PowerCut(BaseException):
    """What no code expects."""


def interrupted(segmenter: Segmenter, video: Path, out: Path, after: int, **options: object) -> None:
    def cut(done: float, total: int | None) -> None:
        if done >= after:
            raise PowerCut

    with pytest.raises(PowerCut), pytest.warns(InputWarning, match=r"\d+ frames are finished; the same command"):
        segmenter.to_folder(video, "the dog", out, progress=cut, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("overlap", [0, 2])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    segmenter: Segmenter, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlap: int
) -> None:
    options = {"clip_length": 5, "overlap": overlap, "every": 2}
    segmenter.to_folder(video, "the dog", tmp_path / "whole", **options)
    interrupted(segmenter, video, tmp_path / "out", after=15, **options)
    assert not (tmp_path / "out").exists()
    clips: list[int] = []
    find = segmenter.model.find
    monkeypatch.setattr(segmenter.model, "find", lambda clip, *rest: clips.append(len(clip)) or find(clip, *rest))
    segmenter.to_folder(video, "the dog", tmp_path / "out", resume=True, **options)
    assert len(clips) == (2 if overlap else 1), "what was finished is not done again"
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "squares.mp4", "whole"]


def test_a_run_may_be_interrupted_again_and_in_the_middle_of_a_line(
    segmenter: Segmenter, video: Path, tmp_path: Path
) -> None:
    segmenter.to_folder(video, "the dog", tmp_path / "whole", clip_length=4)
    interrupted(segmenter, video, tmp_path / "out", after=8, clip_length=4)
    journal = tmp_path / ".out.partial" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    interrupted(segmenter, video, tmp_path / "out", after=12, clip_length=4, resume=True)
    segmenter.to_folder(video, "the dog", tmp_path / "out", clip_length=4, resume=True)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")


def test_a_run_is_gone_on_with_only_by_the_same(segmenter: Segmenter, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupted(segmenter, video, out, after=8, clip_length=4)
    with pytest.raises(InputError, match="has finished 4 frames of this output; go on with --resume"):
        segmenter.to_folder(video, "the dog", out, clip_length=4)
    with pytest.raises(InputError, match="another min_score"):
        segmenter.to_folder(video, "the dog", out, clip_length=4, min_score=0.7, resume=True)
    segmenter.to_folder(video, "the dog", out, clip_length=4, overwrite=True)
    assert not (tmp_path / ".out.partial").exists()


@pytest.mark.parametrize("other", [{"frames": 19, "times": [Fraction(i * i, 30) for i in range(19)]}, {"frames": 4}])
def test_a_run_is_not_gone_on_with_when_the_video_is_another(
    segmenter: Segmenter, video: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Frames at other times; and a video that ends where a clip of the interrupted run ended."""
    out = tmp_path / "out"
    interrupted(segmenter, video, out, after=10, clip_length=4)
    write_video(video, **other)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)  # nothing says that it could be gone on with
        with pytest.raises(InputError, match="has changed since the run was interrupted"):
            segmenter.to_folder(video, "the dog", out, clip_length=4, resume=True)
    segmenter.to_folder(video, "the dog", out, clip_length=4, overwrite=True)
    assert not (tmp_path / ".out.partial").exists()


def test_a_run_that_was_to_replace_an_earlier_result_goes_on_too(
    segmenter: Segmenter, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    segmenter.to_folder(video, "a cup", out, clip_length=8)
    interrupted(segmenter, video, out, after=16, clip_length=8, overwrite=True)
    assert Segmentation.load(out).expressions == ["a cup"], "the earlier result is still there"
    clips: list[int] = []
    find = segmenter.model.find
    monkeypatch.setattr(segmenter.model, "find", lambda clip, *rest: clips.append(len(clip)) or find(clip, *rest))
    segmenter.to_folder(video, "the dog", out, clip_length=8, overwrite=True, resume=True)
    assert len(clips) == 1
    assert Segmentation.load(out).expressions == ["the dog"]


def test_what_was_left_may_be_damaged(segmenter: Segmenter, video: Path, tmp_path: Path) -> None:
    interrupted(segmenter, video, tmp_path / "out", after=8, clip_length=4)
    (tmp_path / ".out.partial" / "journal.jsonl").write_text("[1, 2\n{}\n")
    with pytest.raises(InputError, match="is damaged; begin anew with --overwrite"):
        segmenter.to_folder(video, "the dog", tmp_path / "out", resume=True)


def test_with_nothing_to_go_on_with_it_begins(segmenter: Segmenter, video: Path, tmp_path: Path) -> None:
    segmenter.to_folder(video, "the dog", tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "result.json").exists()


def test_an_error_in_the_first_clip_leaves_nothing(
    segmenter: Segmenter, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter.model, "find", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        segmenter.to_folder(video, "the dog", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["squares.mp4"]


# --- parts of videos ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_excerpt_has_the_frames_of_the_whole(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "v.mp4", codec, frames=30, rate=Fraction(30_000, 1001), g="6")
    whole = read_video(path)
    for start, end, frames in (
        (0, 0.5, range(15)),
        (0.5, 0.8, range(15, 24)),
        (Fraction(1001, 30_000) * 7, None, range(7, 30)),
    ):
        part = Excerpt(open_video(path), start, end)
        found = list(part)
        assert [frame.name for frame in found] == [f"{index:05d}" for index in frames]
        assert (np.stack([frame.image for frame in found]) == whole[frames.start : frames.stop]).all()
        assert [frame.time for frame in found] == [Fraction(1001 * index, 30_000) for index in range(len(frames))]
        assert part.frame_count == len(frames)


def test_an_excerpt_of_what_comes_only_once() -> None:
    part = Excerpt(open_stream((square_frame(index) for index in range(20)), fps=10), 0.5, 1)
    assert [square_x(frame.image) for frame in part] == [STEP * index for index in range(5, 10)]


def test_an_excerpt_keeps_its_sound(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", frames=48, sound="libopus")
    segmenter.to_folder(Excerpt(open_video(path), 1, 3), "the dog", tmp_path / "out", ["overlay"], every=12)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        sound, picture = container.streams.audio[0], container.streams.video[0]
        assert picture.frames == 24
        assert 1.8 <= float(sound.duration * sound.time_base) <= 2.2


@pytest.mark.parametrize(
    ("start", "end", "sentence"), [(2, 1, "nothing between 2 s and 1 s"), (9, None, "no frame at 9 s")]
)
def test_excerpts_that_are_empty(video: Path, start: float, end: float | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Excerpt(open_video(video), start, end)


# --- the command ----------------------------------------------------------------------------------------------


def test_a_part_by_the_command_line(run, model: Path, video: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "segment", video, "the dog", "-o", tmp_path / "out", "--model", model, "--start", "0:00.5", "--end", "1.25",
        "--every", 3, "--overlap", 1, "--clip-length", 2, "--json",
    )  # fmt: skip
    answer = json.loads(out)
    assert (code, answer["frame_count"], answer["settings"]["every"]) == (0, 9, 3)
    assert "One frame in 3 was segmented; the frames between repeat" in answer["warnings"][0]
    assert sorted(path.name for path in (tmp_path / "out" / "masks" / "0-the-dog").iterdir())[0] == "00006.png"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--start", "soon"], "--start 'soon' is not a time"),
        (["--start", "2", "--end", "1"], "nothing between 2 s and 1 s"),
        (["--overlap", "40"], "cannot share 40"),
        (["--timeout", "0"], "A timeout of 0"),
    ],
)
def test_options_that_cannot_be_used(run, model: Path, video: Path, tmp_path: Path, options, sentence: str) -> None:
    place = "udp://127.0.0.1:9" if "--timeout" in options else video
    code, _, error = run("segment", place, "the dog", "-o", tmp_path / "out", "--model", model, *options)
    assert (code, "Traceback" in error) == (2, False)
    assert sentence in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "squares.mp4"]


def test_a_video_through_a_pipe(run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg … | sgmg segment - …"""
    path = write_video(tmp_path / "v.nut", frames=12)
    with path.open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        code, out, _ = run("segment", "-", "the dog", "-o", tmp_path / "out", "--model", model, "--stream", "--json")
    *frames, last = map(json.loads, out.splitlines())
    assert [frame["frame"] for frame in frames] == [f"{index:05d}" for index in range(12)]
    assert frames[0]["expressions"][0]["rle"]["size"] == [72, 96]
    assert (code, last["settings"]["clip_length"]) == (0, 8)
    assert Image.open(tmp_path / "out" / "masks" / "0-the-dog" / "00011.png").size == (96, 72)


def test_nothing_in_the_pipe(run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as pipe:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stdin", pipe)
        code, _, error = run("segment", "-", "the dog", "-o", tmp_path / "out", "--model", model)
    assert (code, error) == (2, "Error: Standard input is empty; the program that should fill it may have failed.\n")


def test_ctrl_c_ends_a_stream_with_its_result_complete(
    run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_video(tmp_path / "v.y4m", "wrapped_avframe", frames=12).read_bytes()
    reading, writing = os.pipe()
    os.write(writing, content[:60_000])  # five frames; the pipe stays open
    journal = tmp_path / ".out.partial" / "journal.jsonl"

    def press() -> None:
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    command = ["segment", "-", "the dog", "-o", tmp_path / "out", "--model", model, "--stream", "--clip-length", 2]
    with os.fdopen(reading) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        code, _, error = run(*command)
        os.close(writing)
    assert (code, "Error" in error) == (0, False)
    assert 2 <= len(Segmentation.load(tmp_path / "out")) <= 5


@pytest.mark.slow
def test_a_command_that_was_ended_goes_on(model: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=60, size=(144, 192))
    words = ["segment", path, "the dog", "--model", model, "--clip-length", 2, "--threads", 1, "-q", "-o"]
    command = [sys.executable, "-m", "sgmg", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    process = subprocess.Popen([*command, str(tmp_path / "out")], env=environment, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / ".out.partial" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert "the same command with --resume goes on from there" in error
    assert not (tmp_path / "out").exists()
    subprocess.run([*command, str(tmp_path / "out"), "--resume"], env=environment, check=True)
    subprocess.run([*command, str(tmp_path / "whole")], env=environment, check=True)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
