"""What all figures have in common: how they look, and how they are saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgmg.errors import InputError
from sgmg.overlay import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERS = "numbers.json"
"""The numbers behind the figures of a folder; it marks the folder as one of ours."""

BLUE, ORANGE, PURPLE, GREEN, YELLOW, RED, DARK_BLUE = (PALETTE[i] for i in (0, 1, 2, 3, 4, 5, 6))
INK, FAINT = "#222222", "#888888"

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "sgmg",  # the same figure gives the same bytes
}


def require(package: str) -> None:
    """Say how to get a package of the extra, where it is missing.

    Raises:
        InputError: it is.
    """
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(f"This analysis needs the package {package}: pip install 'sgmg[analysis]'.")


@contextmanager
def figure(width: float, height: float, **options: Any) -> Iterator[Figure]:
    """A figure of this size in inches, in this project's style; drawn on and saved inside of the block."""
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained", **options)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``FOLDER/NAME.png`` and ``FOLDER/NAME.svg``."""
    figure.savefig(folder / f"{name}.png", dpi=160, facecolor="white")
    figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None})


def save_numbers(numbers: dict[str, Any], folder: Path) -> None:
    """Write the numbers behind a figure."""
    (folder / NUMBERS).write_text(json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def shortened(text: str, length: int) -> str:
    """A text that is no longer than so many letters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
