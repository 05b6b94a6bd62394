"""Cutouts from the pictures of emoji: `tools/emoji_cutouts.py`."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from sgmg.data.cutouts import LABELS
from sgmg.data.synthetic.sprites import CutoutSource
from sgmg.data.synthetic.vocabulary import KINDS, kind_of_names
from sgmg.errors import InputError

pytest.importorskip("emoji")
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import emoji_cutouts


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a soccer ball, a pair of scissors, a smiley and a file that no emoji names."""
    assets = tmp_path / "package" / "assets"
    assets.mkdir(parents=True)
    for name in ("26bd", "2702-fe0f", "1f600", "readme"):
        image = Image.new("RGBA", (300, 300))
        image.paste("red", (20, 50, 280, 180))
        image.save(assets / f"{name}.webp", lossless=True)
    return tmp_path / "package"


def test_things_that_can_be_filmed_are_taken_without_their_margins(package: Path, tmp_path: Path) -> None:
    assert emoji_cutouts.make(package, tmp_path / "out") == 2
    entries = json.loads((tmp_path / "out" / LABELS).read_text(encoding="utf-8"))["emoji"]
    assert [(entry["file"], entry["names"][0]) for entry in entries] == [
        ("emoji/26bd.webp", "soccer ball"),
        ("emoji/2702-fe0f.webp", "scissors"),
    ]
    assert entries[0]["size"] == [224, 112]
    with Image.open(tmp_path / "out" / "emoji" / "26bd.webp") as image:
        assert image.size == (224, 112)
    assert {kind.name for kind in CutoutSource(tmp_path / "out", "train").kinds()} == {"ball", "scissors"}


def test_another_folder_of_cutouts_is_put_in_as_well(package: Path, tmp_path: Path) -> None:
    emoji_cutouts.make(package, tmp_path / "emoji")
    others = tmp_path / "others"
    (others / "things").mkdir(parents=True)
    (tmp_path / "emoji" / "emoji" / "26bd.webp").rename(others / "things" / "ball.webp")
    (others / LABELS).write_text(json.dumps({"things": [{"file": "things/ball.webp", "names": ["beach ball"]}]}))
    emoji_cutouts.make(package, tmp_path / "out", others)
    groups = json.loads((tmp_path / "out" / LABELS).read_text(encoding="utf-8"))
    assert list(groups) == ["things", "emoji"]
    assert {kind.name for kind in CutoutSource(tmp_path / "out", "train").kinds()} == {"beach ball", "ball", "scissors"}


def test_a_folder_without_pictures_of_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no pictures of things"):
        emoji_cutouts.make(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match=r"no readable labels\.json"):
        emoji_cutouts.make(tmp_path, tmp_path / "out", tmp_path)


def test_the_generator_knows_every_thing() -> None:
    assert {kind_of_names(names) for names in emoji_cutouts.things().values()} <= set(KINDS)
