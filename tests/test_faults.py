"""What goes wrong around a command: it is killed, the disk is full, its input goes away or stops coming."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from sgmg.errors import InputError
from sgmg.journal import Journal
from sgmg.output import new_folder, new_folders

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from check_kills import check
from hostile_inputs import small_model
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
