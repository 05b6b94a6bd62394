"""Paths as users type them."""

from os import PathLike
from pathlib import Path


def user_path(path: str | PathLike[str]) -> Path:
    """A path in which "~" is the home folder; as it is where nobody of that name has one (a video "~copy.mp4")."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
