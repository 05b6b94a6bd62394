"""Files on this machine, on a file system that machines share, or in an object store: read and written alike.

What has a scheme (`s3://bucket/videos`) goes through fsspec, and with it through the package of that scheme (s3fs for
S3, gcsfs for Google Cloud, adlfs for Azure); everything else, and `file://`, is a path. Whatever is written appears
whole or not at all: by a rename here, by the store's own commit there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sgmg.errors import InputError
from sgmg.output import is_disk_full
from sgmg.paths import user_path
from sgmg.segmentation import RESULT

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|:)")


def is_remote(place: str) -> bool:
    """Whether a place is reached through fsspec."""
    return _SCHEME.match(place) is not None and not place.startswith("file://")


def local_path(place: str) -> Path:
    """The path of a place that is none of fsspec's."""
    return user_path(place.removeprefix("file://")).absolute()


def open_remote(place: str) -> tuple[Any, str]:
    """fsspec's file system of a place, and the place on it.

    Raises:
        InputError: no package here knows its scheme.
    """
    import fsspec

    if "::" in place:
        raise InputError(f"'{place}' chains file systems, which is not possible here; name one.")
    try:
        system, path = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"'{place}' cannot be reached: {reason}.") from error
    return system, str(path).rstrip("/")


@contextmanager
def fetched(place: str) -> Iterator[Path]:
    """A video as a file or folder on this machine; what was fetched for it is gone at the end.

    Raises:
        InputError: it is not there.
    """
    if not is_remote(place):
        yield local_path(place)
        return
    system, path = open_remote(place)
    with tempfile.TemporaryDirectory(prefix="sgmg-") as folder:
        copy = Path(folder) / (PurePosixPath(path).name or "video")
        try:
            system.get(path, str(copy), recursive=bool(system.isdir(path)))
        except FileNotFoundError as error:
            raise InputError(f"There is no file or folder '{place}'; check the address.") from error
        yield copy


class Storage:
    """A folder, here or in an object store; places in it are relative paths with "/".

    Args:
        root: the folder.

    Attributes:
        root: its address, or its absolute path, which other machines understand too.
    """

    def __init__(self, root: str) -> None:
        self._system: Any = None
        if is_remote(root):
            self.root = root.rstrip("/")
            self._system, self._base = open_remote(root)
        else:
            self.root = self._base = str(local_path(root).resolve())

    @property
    def is_remote(self) -> bool:
        """Whether it is in an object store."""
        return self._system is not None

    def path(self, place: str) -> Path:
        """A place as a path of this machine, where it has one."""
        assert not self.is_remote, "what is in an object store has no path"
        return Path(self._base) / place

    def names(self, folder: str = "") -> set[str]:
        """What lies directly in a folder; nothing if there is no such folder."""
        try:
            if self.is_remote:
                self._system.invalidate_cache()
                entries = self._system.ls(self._at(folder), detail=False)
                return {PurePosixPath(str(entry).rstrip("/")).name for entry in entries}
            return {path.name for path in self.path(folder).iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def read(self, place: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.is_remote:
            return bytes(self._system.cat_file(self._at(place)))
        return self.path(place).read_bytes()

    def write(self, place: str, content: bytes) -> None:
        """Write a file, or replace it."""
        if self.is_remote:
            self._system.makedirs(self._at(str(PurePosixPath(place).parent)), exist_ok=True)
            self._system.pipe_file(self._at(place), content)
            return
        with self.replacing(place) as draft:
            draft.write_bytes(content)

    @contextmanager
    def replacing(self, place: str) -> Iterator[Path]:
        """A path to write a file to; it takes its place when the block ends without an error.

        Raises:
            InputError: the disk is full.
        """
        target = None if self.is_remote else self.path(place)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".sgmg-", dir=None if target is None else target.parent)
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            if target is None:
                self._system.makedirs(self._at(str(PurePosixPath(place).parent)), exist_ok=True)
                self._system.put_file(str(draft), self._at(place))
            else:
                draft.chmod(0o666 & ~_mask())  # unlike mkstemp's
                draft.replace(target)
        except OSError as error:
            if is_disk_full(error):
                raise InputError(f"The disk is full: '{place}' was not written to '{self.root}'.") from error
            raise
        finally:
            draft.unlink(missing_ok=True)

    def upload(self, folder: Path, place: str) -> None:
        """A folder's files into an object store in place of what is there, `result.json` last: where it is, all is."""
        self.remove(place)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files.sort(key=lambda path: path == folder / RESULT)
        for path in files:
            target = self._at(f"{place}/{path.relative_to(folder).as_posix()}")
            self._system.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
            self._system.put_file(str(path), target)

    def remove(self, place: str) -> None:
        """A file or folder with all that is in it, if it is there."""
        if self.is_remote:
            self._system.invalidate_cache()
            if self._system.exists(self._at(place)):
                self._system.rm(self._at(place), recursive=True)
            return
        path = self.path(place)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _at(self, place: str) -> str:
        return f"{self._base}/{place}" if place else self._base


def _mask() -> int:
    """The user's file mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
