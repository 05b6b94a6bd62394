"""Pickles of datasets, read without running anything: a pickle may name any function and have it called."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

from sgmg.errors import InputError


class _RefusedError(Exception):
    pass


class _PlainUnpickler(pickle.Unpickler):
    """Everything but lists, tuples, dicts, sets, strings, bytes, numbers, True, False and None has a name that is
    looked up here, and no name is found."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _RefusedError(f"{module}.{name}")


def load_plain(path: str | Path) -> Any:
    """The content of a pickle of built-in containers, numbers and strings; of Python 2 too, whose strings are UTF-8.

    Raises:
        InputError: the file is missing or damaged, or asks for a class or function, which the message names.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path} is missing.") from None
    except _RefusedError as refused:
        raise InputError(
            f"{path} asks for {str(refused)!r}, which could run code, and was not loaded: only lists, dicts, numbers "
            "and strings are read; get a fresh copy of the file from its publisher."
        ) from None
    except OSError:
        raise
    except Exception as error:  # a broken pickle can raise almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable pickle: {reason.rstrip('.')}.") from error
