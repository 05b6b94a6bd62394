"""What goes wrong around a command: it is killed, the disk is full, its input goes away or stops coming."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.journal import Journal
from sgmg.output import new_folder, new_folders
from sgmg.segmenter import ClipRun, SegmentedClip

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from check_kills import check
from hostile_inputs import small_model, video
from killed_commands import COMMANDS

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


# --- killed ------------------------------------------------------------------------------------------------


def dies_at_rename(number: int, work: Callable[[], None]) -> bool:
    """Do some work in a process that dies, as if it were killed, just before it renames a file the n-th time."""
    child = os.fork()
    if child == 0:
        renames = 0

        def watch(event: str, _: object) -> None:
            nonlocal renames
            if event == "os.rename":
                renames += 1
                if renames == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def write_pair(root: Path, text: str) -> None:
    """A dataset of two folders, whose lists speak of its images."""
    places = [(root / "lists" / "train", True, "of"), (root / "images", True, "of")]
    with new_folders(places) as contents:
        for content in contents:
            (content / "of").write_text(text)


def pair(root: Path) -> tuple[str | None, ...]:
    """What its two folders say they are of."""
    files = [root / "lists" / "train" / "of", root / "images" / "of"]
    return tuple(file.read_text() if file.exists() else None for file in files)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="dies in a fork")
@pytest.mark.parametrize("there_was_one", [False, True])
def test_whenever_a_process_is_killed_folders_are_old_or_new_or_wait_to_be(tmp_path: Path, there_was_one: bool) -> None:
    before = "old" if there_was_one else None
    for number in range(1, 9):
        root = tmp_path / str(number)
        if there_was_one:
            write_pair(root, "old")
        if not dies_at_rename(number, lambda root=root: write_pair(root, "new")):
            break
        lists, images = pair(root)
        assert lists is None or lists == images, "lists of other images"
        assert {lists, images} <= {before, "new", None}
        write_pair(root, "newer")
        assert pair(root) == ("newer", "newer")
        assert not list(root.rglob(".*"))
    assert number == (5 if there_was_one else 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="dies in a fork")
def test_what_was_finished_takes_its_place_later(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out"):
        pass

    def replace() -> None:
        with new_folder(tmp_path / "out", overwrite=True) as folder:
            (folder / "result.json").write_text("new")

    assert dies_at_rename(2, replace)  # what was there is aside already
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="exists already"), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "result.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_processes_that_write_the_same_folder_leave_each_other_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out", overwrite=True) as first:
        (first / "result.json").write_text("first")
        with new_folder(tmp_path / "out") as second:
            (second / "result.json").write_text("second")
        assert (tmp_path / "out" / "result.json").read_text() == "second"
    assert (tmp_path / "out" / "result.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("left", ["", '{"model": "ti', '{"model": "another"}\n', '{"model": "tiny"}\n{"names": ["0'])
def test_a_run_that_was_killed_before_its_first_clip_is_begun_anew(tmp_path: Path, left: str) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "journal.jsonl").write_text(left)
    for resume in (True, False):
        with Journal(tmp_path / "out", {"model": "tiny"}, resume=resume) as journal:
            assert list(journal) == []
    assert not (tmp_path / ".out.partial").exists()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place for what is killed, with a small model in it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # commands run in forks, which have the threads of their parent no more
    small_model(tmp_path / "model")
    yield tmp_path
    torch.set_num_threads(threads)


@needs_proc
@pytest.mark.parametrize(
    ("command", "kills"),
    [
        ("segment", 3),
        ("synth", 3),
        pytest.param("predict", 12, marks=pytest.mark.slow),
    ],
)
def test_killed_commands_leave_what_is_complete_and_a_rerun_ends_as_if_nothing_had_been(
    home: Path, command: str, kills: int
) -> None:
    tally = check(COMMANDS[command], kills, seed=1, home=home)
    assert tally.faults == []
    assert sum(tally.kills.values()) == kills


# --- no room, no permission ---------------------------------------------------------------------------------


@pytest.fixture(params=["full", "read-only"])
def no_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A folder on a disk of its own that has 64 kB, or may not be written to."""
    place = tmp_path / "disk"
    place.mkdir()
    options = {"full": "size=64k", "read-only": "ro"}[request.param]
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a disk")
    yield request.param, place
    subprocess.run(["umount", str(place)], check=True)


WORK: dict[str, Callable[[Path], list[str]]] = {
    "segment": lambda home: [
        *("segment", str(home / "video.mp4"), "the dog", "--model", str(home / "model"), "--clip-length", "2"),
        *("--format", "masks", "--format", "cutout-png", "--quiet"),
    ],
    "synth": lambda home: ["synth", "--videos", "2", "--size", "96x160", "--length", "4", "--quiet"],
    "predict": lambda home: ["predict", "ref-youtube-vos", str(home / "data"), "--model", str(home / "model")],
    "export": lambda home: ["export", "onnx", str(home / "model")],
    "train": lambda home: [
        *("train", str(home / "recipe.yaml"), f"model.pretrained={home / 'model'}", "trainer.accelerator=cpu"),
        *("data.synthetic.size=[64,96]", "data.batch_size=1", "data.workers=0", "trainer.max_steps=1"),
        *("trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"),
    ],
}


@pytest.mark.parametrize("command", WORK)
def test_without_a_place_to_write_there_is_one_sentence_and_nothing_of_it(
    command: str, home: Path, no_place: tuple[str, Path], run
) -> None:
    kind, place = no_place
    video(home / "video.mp4", frames=16, size=(96, 160))
    if command == "predict":
        config = SyntheticConfig(size=(96, 160), length=4, objects=(2, 2), expressions=2)
        write_videos(home / "data", config, 0, 8, split="valid")
    (home / "recipe.yaml").write_text("data: {kind: synthetic}\n")
    words, out = WORK[command](home), place / ("out.zip" if command == "predict" else "out")
    words = [*words, f"run={out}"] if command == "train" else [*words, *(["-o"] if "segment" in words else []), out]
    if command == "predict":
        words[-1:] = ["-o", out]
    code, _, error = run(*words)
    assert code == 2, error
    assert len([line for line in error.splitlines() if line.startswith("Error: ")]) == 1
    assert "Traceback" not in error
    if kind == "full":
        assert "disk is full" in error or "No space left" in error
    assert not out.exists() or command == "train"  # whose logs were begun


# --- what is read goes away ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["one frame", "the folder"])
def test_frames_that_vanish_while_they_are_read_are_a_sentence_and_no_result(
    gone: str, home: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, next_clip = home / "frames", ClipRun.__next__
    frames.mkdir()
    for index in range(8):
        Image.new("RGB", (160, 96), (0, 20 * index, 0)).save(frames / f"{index}.png")

    def next_clip_then_remove(clips: ClipRun) -> SegmentedClip:
        clip = next_clip(clips)
        if gone == "the folder":
            shutil.rmtree(frames, ignore_errors=True)
        (frames / "6.png").unlink(missing_ok=True)
        return clip

    monkeypatch.setattr(ClipRun, "__next__", next_clip_then_remove)
    words = ["--model", home / "model", "--clip-length", "2", "--quiet", "-o", home / "out"]
    code, _, error = run("segment", frames, "the dog", *words)
    assert code == 2
    hint, said = error.splitlines()
    assert hint.endswith("frames are finished; the same command with --resume goes on from there.")
    missing = frames / ("0.png" if gone == "the folder" else "6.png")
    assert said == f"Error: '{missing}': No such file or directory."
    assert not (home / "out").exists()
