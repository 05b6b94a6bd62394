"""Folders that appear only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from sgmg.errors import InputError
from sgmg.paths import user_path

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Windows knows no quota error.
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def check_output(folder: str | Path, overwrite: bool = False, marker: str = "result.json") -> Path:
    """Tell before any work whether a folder may be written; gives its absolute path.

    Raises:
        InputError: it exists and may not, or must not, be replaced. Even with `overwrite`, only an empty
            folder or one that holds `marker` is ever replaced, so that a slip does not delete a home.
    """
    target = user_path(folder).resolve()
    if not target.exists():
        parent = next(parent for parent in target.parents if parent.exists())
        try:
            # Asking for permissions does not tell of file systems that are read-only. It has no name, so that it is
            # gone even if this process is killed here.
            tempfile.TemporaryFile(dir=parent).close()
        except OSError as error:
            raise InputError(f"'{folder}' cannot be made in '{parent}' ({error.strerror}).") from error
        return target
    if not overwrite:
        raise InputError(f"'{folder}' exists already; choose another output or pass --overwrite.")
    if not target.is_dir():
        raise InputError(f"'{folder}' is a file, not a folder; choose another output.")
    if any(target.iterdir()) and not (target / marker).exists():
        raise InputError(
            f"'{folder}' holds other things than an earlier result ('{marker}'), and is not replaced; "
            "choose another output."
        )
    return target


@contextmanager
def new_folder(folder: str | Path, overwrite: bool = False, marker: str = "result.json") -> Iterator[Path]:
    """Give a folder to write into; it takes its name only when the block ends without an error.

    Until then it lies, hidden, beside its place (so that taking the name is one rename). After an error
    or an interruption nothing is left of it, and what stood in its place is as it was. What a killed process
    left, the next one that writes the same folder clears away.

    Raises:
        InputError: see `check_output`; also when the disk is full.
    """
    with new_folders([(folder, overwrite, marker)]) as (content,):
        yield content


@contextmanager
def new_folders(places: Sequence[tuple[str | Path, bool, str]]) -> Iterator[list[Path]]:
    """Several folders as `new_folder` gives one, which take their names together.

    The last takes its own first. Whoever kills the process just then leaves the others' places empty: the first
    folder is there only where all of them are, old or new. `settle` does the rest.

    Args:
        places: folder, overwrite and marker of each, as for `check_output`.

    Raises:
        InputError: see `check_output`; also when the disk is full.
    """
    settle([folder for folder, _, _ in places])
    targets = [check_output(*place) for place in places]
    made = {parent for target in targets for parent in target.parents if not parent.exists()}
    drafts: list[_Draft] = []
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            drafts.append(_Draft(target))
        for draft in drafts:
            draft.clear()
            draft.content.mkdir()
        yield [draft.content for draft in drafts]
        for place in places:
            check_output(*place)  # it was long ago that this was asked
        for draft in drafts:
            draft.finish()
        _take_places(drafts)
    except BaseException as error:
        for draft in drafts:
            draft.close()
        for parent in sorted(made, key=lambda parent: -len(parent.parts)):
            with suppress(OSError):
                parent.rmdir()
        if is_disk_full(error):
            raise _disk_full(places[0][0]) from error
        raise
    for draft in drafts:
        draft.close()


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write a file to, hidden beside its place, which it takes when the block ends without an error.

    Raises:
        InputError: the disk is full.
    """
    target = Path(path)
    draft = _hidden(target)
    try:
        yield draft
        draft.replace(target)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if is_disk_full(error):
            raise _disk_full(path) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no room left on a disk."""
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def _disk_full(place: str | Path) -> InputError:
    return InputError(f"The disk is full: '{place}' was not written; free some space, or choose another disk.")


def settle(folders: Sequence[str | Path]) -> None:
    """Clear away what a killed process left of writing these folders; what it had finished takes its place.

    Args:
        folders: the same as it wrote together.
    """
    targets = [user_path(folder).resolve() for folder in folders]
    if not any(_hidden(target).exists() for target in targets):
        return
    drafts = [_Draft(target) for target in targets if target.parent.is_dir()]
    try:
        if len(drafts) == len(targets) and all(draft.is_finished for draft in drafts):
            _take_places(drafts)
    finally:
        for draft in drafts:
            draft.close()


def _take_places(drafts: Sequence[_Draft]) -> None:
    """All or none of them; what was there first goes first."""
    try:
        for draft in drafts:
            draft.make_room()
        for draft in reversed(drafts):
            draft.take_place()
    except BaseException:
        for draft in drafts:
            draft.give_back()
        raise


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}.unfinished")


class _Draft:
    """A hidden folder beside the place of another, `.NAME.unfinished`, that no other process works in.

    A lock says so, which the system takes away from a process that is killed. Where there are no locks, or another
    process has it, the draft gets a name that nobody else has, and a killed process' stays.

    Attributes:
        content: what is to take the place; not made yet.
    """

    def __init__(self, target: Path) -> None:
        self._target, self._folder = target, _hidden(target)
        self._lock = lock_folder(self._folder)
        if self._lock is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".unfinished", dir=target.parent))
        self.content, self._replaced = self._folder / "content", self._folder / "replaced"
        self._mark = self._folder / "finished"

    @property
    def is_finished(self) -> bool:
        """Whether the content is complete, or was and has taken its place."""
        filled_since = self.content.exists() and self._replaced.exists() and self._target.exists()
        return self._mark.exists() and not filled_since

    def finish(self) -> None:
        """Write down that the content is complete: from now on it takes its place, whatever becomes of this process."""
        self._mark.touch()

    def make_room(self) -> None:
        """Put what is there aside."""
        if self.content.exists() and self._target.exists():
            self._target.rename(self._replaced)

    def take_place(self) -> None:
        """Rename the content to the target, unless that was done."""
        if self.content.exists():
            self.content.replace(self._target)

    def give_back(self) -> None:
        """Undo `take_place` and `make_room`."""
        if self._mark.exists() and not self.content.exists():
            self._target.rename(self.content)
        if self._replaced.exists():
            self._replaced.rename(self._target)

    def clear(self) -> None:
        """Remove all that is in it; what was put aside and has no successor returns to its place."""
        self._mark.unlink(missing_ok=True)
        if self._replaced.exists() and not self._target.exists():
            self._replaced.rename(self._target)
        for rest in (self.content, self._replaced):
            shutil.rmtree(rest, ignore_errors=True)

    def close(self) -> None:
        """Remove it."""
        self.clear()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def lock_folder(folder: Path) -> int | None:
    """Make a folder, or take over one whose process is gone; the open file that holds its lock, if it can be had.

    The system takes the lock away from a process that ends, however it does.
    """
    if fcntl is None:
        return None
    while True:
        folder.mkdir(0o700, exist_ok=True)
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its process ended just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists() and os.path.samestat(folder.stat(), os.fstat(lock)):
                return lock
        except OSError:  # another process has it, or the file system has no locks
            os.close(lock)
            return None
        os.close(lock)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A file under a second name: a hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
