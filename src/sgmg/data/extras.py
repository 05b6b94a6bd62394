"""Packages that only some benchmarks need: they come with the extra ``train``."""

from importlib import import_module
from typing import Any

from sgmg.errors import InputError


def import_extra(package: str, needed_for: str) -> Any:
    """A module of an optional package.

    Args:
        package: the module, "scipy.io".
        needed_for: what needs it, for the message.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError:
        name = package.partition(".")[0]
        raise InputError(f"{needed_for} needs {name}: install it with pip install 'sgmg[train]'.") from None
