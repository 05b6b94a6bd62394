"""Folders that appear only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sgmg.errors import InputError

# Windows knows no quota error.
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def check_output(folder: str | Path, overwrite: bool = False, marker: str = "result.json") -> Path:
    """Tell before any work whether a folder may be written; gives its absolute path.

    Raises:
        InputError: it exists and may not, or must not, be replaced. Even with `overwrite`, only an empty
            folder or one that holds `marker` is ever replaced, so that a slip does not delete a home.
    """
    target = Path(folder).expanduser().resolve()
    if not target.exists():
        parent = next(parent for parent in target.parents if parent.exists())
        try:
            with tempfile.TemporaryDirectory(prefix=".sgmg-", dir=parent):
                pass  # asking for permissions does not tell of file systems that are read-only
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
    or an interruption nothing is left of it, and what stood in its place is as it was.

    Raises:
        InputError: see `check_output`; also when the disk is full.
    """
    target = check_output(folder, overwrite, marker)
    made = [parent for parent in target.parents if not parent.exists()]
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".sgmg-", suffix=".unfinished", dir=target.parent))
        content = draft / "content"
        content.mkdir()  # unlike mkdtemp's, with the permissions that the user's mask asks for
        yield content
        check_output(folder, overwrite, marker)  # it was long ago that this was asked
        _take_place(content, target, draft / "replaced")
    except BaseException as error:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise InputError(
                f"The disk is full: '{folder}' was not written; free some space, or choose another disk."
            ) from error
        raise
    shutil.rmtree(draft, ignore_errors=True)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A file under a second name: a hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _take_place(content: Path, target: Path, replaced: Path) -> None:
    """Rename `content` to `target`; if that fails, what was there before is put back."""
    had_one = target.exists()
    if had_one:
        target.rename(replaced)
    try:
        content.replace(target)
    except OSError:
        if had_one:
            replaced.rename(target)
        raise
