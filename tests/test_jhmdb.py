"""Reading JHMDB-Sentences, whole and broken."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from sgmg.data.jhmdb import LIST, JHMDBSentences
from sgmg.data.synthetic import KINDS, SyntheticConfig, SyntheticVideos
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError

CONFIG = SyntheticConfig(size=(48, 64), length=7, split="valid")
GENERATED = replace(CONFIG, kinds=tuple(kind for kind in KINDS if kind != "absent"), absent_share=0.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("jhmdb") / "data"
    write_videos(root, CONFIG, seed=2, count=3, layout="jhmdb")
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to break, called otherwise than the paths in the list say."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def test_three_frames_of_each_video_are_samples(written: Path) -> None:
    data = JHMDBSentences(written, window=5)
    assert Counter(entry.video for entry in data.entries) == {f"{index:06d}": 3 for index in range(3)}
    assert len({entry.id for entry in data.entries}) == len(data) == 9
    videos = [SyntheticVideos(GENERATED, 2).generate(index) for index in range(3)]
    for entry, sample in zip(data.entries, data, strict=True):
        video = videos[int(entry.video)]
        expression = video.expressions[0]
        assert sample.expression == entry.query == expression.text
        assert sample.expression_id == f"v_{entry.video}_f_{entry.frame}"
        assert sample.annotated == [0 if entry.frame == 1 else 2]
        indices = [min(max(entry.frame - 1 + step, 0), 6) for step in range(-2, 3)]
        assert sample.frame_names == [f"{index + 1:05d}" for index in indices]
        np.testing.assert_array_equal(sample.frames.permute(0, 2, 3, 1).numpy(), video.frames[indices])
        mask = video.masks[entry.frame - 1] == expression.object_id
        np.testing.assert_array_equal(sample.masks[sample.annotated][0].numpy(), mask)
        assert sample.present.sum() == 1


def test_only_frames_of_the_window_are_read(root: Path) -> None:
    entry = JHMDBSentences(root, window=1).entries[0]
    for path in (root / entry.frames_folder).iterdir():
        if path.stem != f"{entry.frame:05d}":
            path.write_bytes(b"junk")
    assert JHMDBSentences(root, window=1)[0].frames.shape == (1, 3, 48, 64)


def test_the_same_seed_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_videos(tmp_path / "again", CONFIG, seed=2, count=3, layout="jhmdb")
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    assert len(files) == 3 * (7 + 1) + 3
    for file in files:
        assert (written / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_too_few_frames_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 frames of each video"):
        write_videos(tmp_path / "data", replace(CONFIG, length=2), seed=2, count=1, layout="jhmdb")


def change(column: int, value: object) -> Callable[[Path], object]:
    def damage(root: Path) -> None:
        rows = json.loads((root / LIST).read_text())
        rows[0][column] = value
        (root / LIST).write_text(json.dumps(rows))

    return damage


BREAK_LIST: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: (root / LIST).unlink(), "metadata.json is missing"),
    "no JSON": (lambda root: (root / LIST).write_text("]"), "not valid JSON"),
    "no list": (lambda root: (root / LIST).write_text("{}"), "must hold a list"),
    "short entry": (lambda root: (root / LIST).write_text('[["a", "b"]]'), "entry 0 must be"),
    "video": (change(0, "../a"), "no plain file name"),
    "frame out of the root": (change(1, "./jhmdb_sentences/Rename_Images/../../00001.png"), "no plain file name"),
    "frame elsewhere": (change(1, "/etc/passwd"), "must be like"),
    "no frame": (change(1, None), "must be like"),
    "frame after the end": (change(1, "Rename_Images/a/b/00008.png"), "none of the 7 frames"),
    "frame 0": (change(1, "Rename_Images/a/b/00000.png"), "none of the 7 frames"),
    "masks out of the root": (change(2, "puppet_mask/a/../x.mat"), "no plain file name"),
    "masks too deep": (change(2, "puppet_mask/a/b/c/x.mat"), "must be like"),
    "total": (change(3, "7"), "'7' is not a number of frames"),
    "no sentence": (change(4, ""), "the sentence is missing"),
}


@pytest.mark.parametrize(("damage", "message"), BREAK_LIST.values(), ids=BREAK_LIST)
def test_a_broken_list_is_named_when_the_data_is_opened(
    root: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(root)
    with pytest.raises(InputError, match=message):
        JHMDBSentences(root)


def masks(root: Path) -> Path:
    data = JHMDBSentences(root)
    return data.mask_path(data.entries[0])


def frame(root: Path) -> Path:
    data = JHMDBSentences(root)
    return data.frame_path(data.entries[0], data.entries[0].frame)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def slices(root: Path, chosen: tuple[slice, ...]) -> None:
    path = masks(root)
    savemat(path, {"part_mask": loadmat(path)["part_mask"][chosen]})


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "masks missing": (lambda root: masks(root).unlink(), r"puppet_mask\.mat is missing"),
    "masks empty": (lambda root: masks(root).write_bytes(b""), r"puppet_mask\.mat is damaged or no \.mat"),
    "masks junk": (lambda root: masks(root).write_bytes(b"junk" * 200), r"puppet_mask\.mat is damaged or no \.mat"),
    "masks cut off": (lambda root: cut(masks(root)), r"puppet_mask\.mat is damaged"),
    "no part_mask": (lambda root: savemat(masks(root), {"mask": np.ones((48, 64, 7))}), "must hold part_mask"),
    "part_mask is text": (lambda root: savemat(masks(root), {"part_mask": "text"}), "must hold part_mask"),
    "other size": (lambda root: slices(root, (slice(1, None),)), "64x47, but the frames of the video are 64x48"),
    "too few": (lambda root: slices(root, (slice(None), slice(None), slice(0, 1))), "masks of 1 frames, but frame"),
    "frame missing": (lambda root: frame(root).unlink(), r"\.png is missing"),
    "frame cut off": (lambda root: cut(frame(root)), r"\.png is damaged"),
    "frame of another size": (lambda root: Image.new("RGB", (5, 5)).save(frame(root)), "one size"),
}


@pytest.mark.parametrize(("damage", "message"), BREAK.values(), ids=BREAK)
def test_broken_files_are_named_when_they_are_read(root: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(root)
    with pytest.raises(InputError, match=message):
        JHMDBSentences(root)[0]
