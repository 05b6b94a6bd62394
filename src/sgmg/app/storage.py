"""Visitors' files: in a temporary folder, under names that tell nothing and cannot be guessed."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sgmg.errors import InputError

_PLAIN_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


def gone() -> InputError:
    """What is raised where a file is not there, or not any more."""
    return InputError("This file is not on the server any more; give the video again.")


@dataclass
class Entry:
    """A folder of one upload or one result.

    Attributes:
        folder: where it is.
        used: when it was used last, on the monotonic clock.
        kept: whether it stays until the server stops.
        holders: how many work with it now.
        unwanted: whether it goes when nobody works with it any more.
    """

    folder: Path
    used: float
    kept: bool
    holders: int = 0
    unwanted: bool = False


class Storage:
    """Folders under tickets: what a visitor is told is `TICKET/FILE`, never where that is.

    Args:
        keep_for: seconds after its last use for which a folder stays.

    Attributes:
        root: the temporary folder.
    """

    def __init__(self, keep_for: float = 3600) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="sgmg-serve-"))
        self._keep_for = keep_for
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def new(self, kept: bool = False) -> tuple[str, Path]:
        """A ticket and its empty folder; `kept` ones stay until the server stops."""
        self.sweep()
        ticket = secrets.token_urlsafe(18)
        folder = self.root / ticket
        folder.mkdir()
        with self._lock:
            self._entries[ticket] = Entry(folder, time.monotonic(), kept)
        return ticket, folder

    def find(self, name: str) -> Path:
        """The file that a visitor calls `TICKET/FILE`.

        Raises:
            InputError: there is none, or none any more.
        """
        ticket, _, file = name.partition("/")
        with self._lock:
            entry = self._entries.get(ticket)
            if entry is None or not file or "/" in file or "\\" in file or file.startswith("."):
                raise gone()
            entry.used = time.monotonic()
        path = entry.folder / file
        if not path.is_file():
            raise gone()
        return path

    def has(self, ticket: str) -> bool:
        """Whether a ticket's folder is still there."""
        with self._lock:
            return ticket in self._entries

    @contextmanager
    def held(self, ticket: str) -> Iterator[None]:
        """While this is entered the folder stays, however long that is and whoever wants it removed."""
        with self._lock:
            entry = self._entries.get(ticket)
            if entry is None:
                raise gone()
            entry.holders += 1
        try:
            yield
        finally:
            with self._lock:
                entry.holders -= 1
                entry.used = time.monotonic()
                over = entry.unwanted and not entry.holders
            if over:
                self.remove(ticket)

    def remove(self, ticket: str) -> None:
        """Delete a ticket's folder, as soon as nobody works with it; what is kept stays."""
        with self._lock:
            entry = self._entries.get(ticket)
            if entry is None or entry.kept:
                return
            if entry.holders:
                entry.unwanted = True
                return
            del self._entries[ticket]
        shutil.rmtree(entry.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what nobody has used for long."""
        oldest = time.monotonic() - self._keep_for
        with self._lock:
            old = [ticket for ticket, entry in self._entries.items() if entry.used < oldest and not entry.holders]
        for ticket in old:
            self.remove(ticket)

    def close(self) -> None:
        """Delete everything."""
        with self._lock:
            self._entries.clear()
        shutil.rmtree(self.root, ignore_errors=True)


def stored_name(name: str) -> str:
    """A file name that is safe on every system and still tells FFmpeg what the file may be.

    >>> stored_name("../../my clip.MOV")
    'video.mov'
    """
    suffix = Path(name).suffix
    return "video" + (suffix.lower() if _PLAIN_SUFFIX.fullmatch(suffix) else "")
