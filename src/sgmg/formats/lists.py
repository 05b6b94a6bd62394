"""JSON whose lists are longer than what should be in memory."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO


class LongList:
    """A JSON list that grows on the disk; a context manager, at whose end it is gone."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by `__exit__`
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, item: Any) -> None:
        """Add plain values."""
        self._file.write((",\n" if self._count else "") + json.dumps(item, ensure_ascii=False))
        self._count += 1

    def copy_to(self, file: TextIO) -> None:
        """Write all of it, as JSON."""
        self._file.seek(0)
        file.write("[")
        shutil.copyfileobj(self._file, file)
        file.write("]")

    def __enter__(self) -> LongList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def dump_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object to a file; the values in it, and in objects and lists in it, may be a `LongList`."""
    with path.open("w", encoding="utf-8") as file:
        _dump(file, content)
        file.write("\n")


def _dump(file: TextIO, value: Any) -> None:
    if isinstance(value, LongList):
        value.copy_to(file)
    elif isinstance(value, Mapping):
        for index, (key, entry) in enumerate(value.items()):
            file.write(f"{', ' if index else '{'}{json.dumps(key, ensure_ascii=False)}: ")
            _dump(file, entry)
        file.write("}" if value else "{}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            file.write(",\n" if index else "[")
            _dump(file, entry)
        file.write("]" if value else "[]")
    else:
        file.write(json.dumps(value, ensure_ascii=False))
