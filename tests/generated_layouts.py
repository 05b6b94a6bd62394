"""Small generated data in a benchmark's layout, for tests to read and to break."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgmg.data.synthetic import SyntheticConfig, SyntheticVideos
from sgmg.data.synthetic.layouts import open_layout
from sgmg.data.synthetic.writer import write_videos

CONFIG = SyntheticConfig(size=(64, 96), length=3, objects=(2, 3))
SEED = 4


def write_layout(root: Path, layout: str, count: int, split: str | None = None) -> None:
    """Write a few small videos."""
    write_videos(root, CONFIG, SEED, count, layout=layout, split=split)


def generator(layout: str, split: str) -> SyntheticVideos:
    """What `write_layout` wrote, by number. Split: the generator's, "train" or "valid"."""
    config = open_layout(layout).configure(CONFIG)
    return SyntheticVideos(SyntheticConfig(**(vars(config) | {"split": split})), SEED)


Damage = Callable[[Path], object]


def edit_json(file: str, change: Callable[[Any], object]) -> Damage:
    """Change a JSON file in place."""

    def apply(root: Path) -> None:
        content = json.loads((root / file).read_text())
        change(content)
        (root / file).write_text(json.dumps(content))

    return apply


def write(file: str, content: bytes) -> Damage:
    """Put something else into a file."""
    return lambda root: (root / file).write_bytes(content)


def remove(file: str) -> Damage:
    """Delete a file."""
    return lambda root: (root / file).unlink()


def cut(file: str, end: int = 200) -> Damage:
    """Leave out the end of a file."""
    return lambda root: (root / file).write_bytes((root / file).read_bytes()[:-end])
