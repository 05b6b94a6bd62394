"""Photographs to cutouts: `sgmg cutouts`."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sgmg import cli
from sgmg.data.cutouts import LABELS, make_cutouts, names_of
from sgmg.data.synthetic import SyntheticConfig, SyntheticVideos
from sgmg.errors import InputError


def cutout(path: Path, size: tuple[int, int] = (400, 300), color: str = "red") -> None:
    """A picture of a disc with everything around it transparent."""
    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).ellipse((100, 60, 300, 260), fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, color in enumerate(["red", "green", "blue"]):
        cutout(tmp_path / "photos" / "ball, toy ball" / f"ball {number}.png", color=color)
        cutout(tmp_path / "photos" / "tea_cup" / f"{number}.png", color=color)
    return tmp_path / "photos"


def test_a_folder_is_a_class_and_its_name_is_what_things_are_called(photos: Path, tmp_path: Path) -> None:
    made = make_cutouts(photos, tmp_path / "out", size=100)
    assert made.kept == {"ball": 3, "tea cup": 3}
    assert made.with_alpha == 6
    entries = json.loads((tmp_path / "out" / LABELS).read_text())["things"]
    assert entries[0] == {
        "file": "ball, toy ball/ball 0.webp",
        "names": ["ball", "toy ball"],
        "borders_touched": 0,
        "size": [100, 100],
    }
    with Image.open(tmp_path / "out" / entries[0]["file"]) as image:
        assert image.mode == "RGBA"
        alpha = np.asarray(image.getchannel("A"))
    assert alpha[50, 50] == 255
    assert alpha[0, 0] == 0


def test_videos_are_made_of_them(photos: Path, tmp_path: Path) -> None:
    make_cutouts(photos, tmp_path / "out")
    config = SyntheticConfig(size=(96, 160), length=2, source="cutouts", cutouts=tmp_path / "out", absent_share=0.0)
    videos = SyntheticVideos(config, seed=0)
    kinds = {thing.kind for index in range(6) for thing in videos.generate(index).objects}
    assert kinds == {"ball", "tea cup"}


def test_names_of_folders() -> None:
    assert names_of("Teddy_bear") == ["teddy bear"]
    assert names_of("dog,puppy , dog") == ["dog", "puppy"]
    assert names_of("---") == []


def test_what_is_cut_by_the_photograph_is_said(tmp_path: Path) -> None:
    image = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(image).rectangle((0, 100, 199, 199), fill="red")
    (tmp_path / "photos" / "sofa").mkdir(parents=True)
    image.save(tmp_path / "photos" / "sofa" / "a.png")
    make_cutouts(tmp_path / "photos", tmp_path / "out")
    assert json.loads((tmp_path / "out" / LABELS).read_text())["things"][0]["borders_touched"] == 3


def test_photographs_that_give_nothing_are_named_and_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "tea_cup" / "broken.png").write_bytes((photos / "tea_cup" / "0.png").read_bytes()[:90])
    Image.new("RGBA", (60, 60)).save(photos / "tea_cup" / "empty.png")
    monkeypatch.setattr(sys, "argv", ["sgmg", "cutouts", str(photos), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    shown = capsys.readouterr()
    assert "broken.png is left out: it cannot be read as an image" in shown.err
    assert "empty.png is left out: nothing is left of it" in shown.err
    assert "tea cup" in shown.out


@pytest.mark.parametrize("missing", ["package", "model"])
def test_without_a_way_to_remove_backgrounds_nothing_is_written(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "dog").mkdir(parents=True)
    Image.effect_noise((80, 80), 90).convert("RGB").save(tmp_path / "photos" / "dog" / "rex.jpg")
    if missing == "package":
        monkeypatch.setitem(sys.modules, "rembg", None)
        expected = r"not installed: pip install 'sgmg\[cutouts\]'"
    else:
        pytest.importorskip("rembg")
        expected = "model 'no-such-model' that removes backgrounds could not be loaded"
    with pytest.raises(InputError, match=expected):
        make_cutouts(tmp_path / "photos", tmp_path / "out", remover="no-such-model")
    assert not (tmp_path / "out").exists()


def test_backgrounds_are_removed_where_there_is_no_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rembg = pytest.importorskip("rembg")

    class Bright:
        """Stands for a session of rembg, whose models are downloads: what is bright is the thing."""

        def predict(self, image: Image.Image, *args: object, **kwargs: object) -> list[Image.Image]:
            return [image.convert("L").point([255 * (level > 128) for level in range(256)])]

    monkeypatch.setattr(rembg, "new_session", lambda name: Bright())
    image = Image.new("RGB", (200, 160))
    ImageDraw.Draw(image).rectangle((50, 40, 149, 119), fill="white")
    (tmp_path / "photos" / "box").mkdir(parents=True)
    image.save(tmp_path / "photos" / "box" / "a.png")
    made = make_cutouts(tmp_path / "photos", tmp_path / "out")
    assert made.with_alpha == 0
    (entry,) = json.loads((tmp_path / "out" / LABELS).read_text())["things"]
    assert entry["size"] == [100, 80]


def test_what_cannot_be_used_is_said(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        make_cutouts(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(InputError, match="no photographs in folders"):
        make_cutouts(photos / "tea_cup", tmp_path / "out")
    with pytest.raises(InputError, match="give 32 to 2048"):
        make_cutouts(photos, tmp_path / "out", size=1)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        make_cutouts(photos, tmp_path / "out")
    (photos / "___").mkdir()
    with pytest.raises(InputError, match="names nothing"):
        make_cutouts(photos, tmp_path / "other")
