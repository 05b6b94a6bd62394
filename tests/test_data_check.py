"""`sgmg data check`: clean on generated data in every layout, and every damage is named with its fix."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sgmg.data.a2d import A2DSentences
from sgmg.data.check import check_benchmark
from sgmg.data.check.report import LISTED, Report
from sgmg.data.jhmdb import JHMDBSentences
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.layouts import LAYOUTS
from sgmg.data.synthetic.writer import write_videos

h5py = pytest.importorskip("h5py")
CONFIG = SyntheticConfig(size=(64, 96), length=4, objects=(2, 3), expressions=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of generated data in a layout, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("layouts")

    def write(layout: str) -> Path:
        root = folder / layout
        if not root.exists():
            splits = LAYOUTS[layout].splits
            for split in ("train", "valid") if "valid" in splits else (None,):
                write_videos(root, CONFIG, seed=1, count=4, layout=layout, split=split)
        return root

    return write


@pytest.fixture
def copied(written: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of generated data, to break."""
    return lambda layout: Path(shutil.copytree(written(layout), tmp_path / "data"))


def kinds(report: Report, severity: str = "problem") -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings if finding.severity == severity}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_generated_data_has_no_problems(written: Callable[[str], Path], layout: str) -> None:
    for deep in (False, True):
        report = check_benchmark(layout.removesuffix("-raw"), written(layout), deep=deep)
        assert kinds(report) == {}
        assert report.counts
        assert all(count.found for count in report.counts)
        # There is less of it than was published, which may be meant.
        assert set(kinds(report, "warning")) <= {"counts unlike the published ones"}


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((90, 64), Image.Resampling.NEAREST).save(path)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def empty_annotations(root: Path) -> None:
    for path in (root / "train" / "Annotations" / "000000").iterdir():
        Image.fromarray(np.zeros((64, 96), np.uint8)).save(path)


def unknown_object(root: Path) -> None:
    def change(content: Any) -> None:
        next(iter(content["videos"]["000000"]["expressions"].values()))["obj_id"] = "99"

    edit(root / "meta_expressions" / "train" / "meta_expressions.json", change)


def first_annotation(root: Path) -> Path:
    data = A2DSentences(root)
    return data.annotation_path(data.entries[0])


def renumber_instances(root: Path) -> None:
    for path in first_annotation(root).parent.iterdir():
        with h5py.File(path, "r+") as file:
            file["instance"][...] += 50


def transpose_masks(root: Path) -> None:
    with h5py.File(first_annotation(root), "r+") as file:
        masks = file["reMask"][()].swapaxes(-1, -2)
        del file["reMask"]
        file["reMask"] = masks


def empty_masks(root: Path) -> None:
    with h5py.File(first_annotation(root), "r+") as file:
        file["reMask"][...] = 0


def jhmdb_masks(root: Path) -> Path:
    data = JHMDBSentences(root)
    return data.mask_path(data.entries[0])


def savemat(root: Path, array: np.ndarray) -> None:
    from scipy.io import savemat

    savemat(jhmdb_masks(root), {"part_mask": array})


def train(pattern: str) -> Callable[[Path], Path]:
    return lambda root: first(root / "train", pattern)


def uncached(damage: Callable[[Path], object]) -> Callable[[Path], object]:
    """Damage raw lists of A2D-Sentences, which count where there are no cached ones."""

    def both(root: Path) -> None:
        for path in root.glob("a2d_sentences_single_frame_*.json"):
            path.unlink()
        damage(root)

    return both


YOUTUBE, DAVIS, RAW = "ref-youtube-vos", "ref-davis17", "ref-davis17-raw"
CLIPS, H5 = "Release/CLIPS320", "text_annotations/a2d_annotation_with_instances"
DAMAGE: dict[str, tuple[str, Callable[[Path], object], str, bool]] = {
    "frame": (YOUTUBE, lambda root: train("JPEGImages/*/*.jpg")(root).unlink(), "missing frames", False),
    "folder": (
        YOUTUBE, lambda root: shutil.rmtree(root / "train/JPEGImages/000001"), "missing folders of frames", False,
    ),
    "junk frame": (
        YOUTUBE, lambda root: train("JPEGImages/*/*.jpg")(root).write_bytes(b"junk"), "frames that cannot be read",
        False,
    ),
    "cut frame": (YOUTUBE, lambda root: cut(train("JPEGImages/*/*.jpg")(root)), "frames that cannot be read", True),
    "frame size": (
        YOUTUBE, lambda root: resize(root / "train/JPEGImages/000001/00002.jpg"),
        "frames of another size than the first", False,
    ),
    "annotation": (YOUTUBE, lambda root: train("Annotations/*/*.png")(root).unlink(), "missing annotations", False),
    "annotation size": (
        YOUTUBE, lambda root: resize(train("Annotations/*/*.png")(root)),
        "annotations whose size is not that of their frame", False,
    ),
    "no annotations": (YOUTUBE, lambda root: shutil.rmtree(root / "train/Annotations"), "no masks", False),
    "empty annotations": (YOUTUBE, empty_annotations, "objects without a mask", True),
    "unknown object": (YOUTUBE, unknown_object, "objects that the list of objects does not have", False),
    "broken list": (
        YOUTUBE, lambda root: cut(root / "meta_expressions/train/meta_expressions.json"), "lists that cannot be read",
        False,
    ),
    "davis frame": (DAVIS, lambda root: train("JPEGImages/*/*.jpg")(root).unlink(), "missing frames", False),
    "davis list": (
        RAW, lambda root: (root / "davis_text_annotations/Davis17_annot2.txt").unlink(), "lists that cannot be read",
        False,
    ),
    "davis annotation": (
        RAW, lambda root: first(root, "DAVIS/Annotations_unsupervised/480p/*/*.png").unlink(), "missing annotations",
        False,
    ),
    "mevis frame": ("mevis", lambda root: train("JPEGImages/*/*.jpg")(root).unlink(), "missing frames", False),
    "mevis masks": ("mevis", lambda root: (root / "train/mask_dict.json").unlink(), "no masks", False),
    "mevis sizes": (
        "mevis", lambda root: [resize(path) for path in (root / "train/JPEGImages").glob("*/*.jpg")],
        "masks that cannot be read", True,
    ),
    "mevis shallow": (
        "mevis", lambda root: [resize(path) for path in (root / "train/JPEGImages").glob("*/*.jpg")],
        "masks whose size is not that of their frame", False,
    ),
    "coco image": ("refcoco", lambda root: first(root, "train2014/*.jpg").unlink(), "missing images", False),
    "coco size": (
        "refcoco", lambda root: resize(first(root, "train2014/*.jpg")), "images of another size than their masks",
        False,
    ),
    "coco cut": ("refcoco", lambda root: cut(first(root, "train2014/*.jpg")), "samples that cannot be read", True),
    "coco list": ("refcoco+", lambda root: cut(root / "refcoco+/instances.json"), "lists that cannot be read", False),
    "a2d video": ("a2d", lambda root: first(root / CLIPS, "*.mp4").unlink(), "missing videos", False),
    "a2d videos": (
        "a2d", lambda root: [shutil.rmtree(path) for path in root.glob("Release/*/")], "missing videos", False,
    ),
    "a2d cut video": ("a2d", lambda root: cut(first(root / CLIPS, "*.mp4")), "videos that cannot be read", False),
    "a2d annotation": ("a2d", lambda root: cut(first_annotation(root)), "annotations that cannot be read", False),
    "a2d annotations": ("a2d", lambda root: shutil.rmtree(root / H5 / "000001"), "missing annotations", False),
    "a2d frame": (
        "a2d", lambda root: first_annotation(root).rename(first_annotation(root).with_name("00077.h5")),
        "frames after the end of the video", False,
    ),
    "a2d instance": ("a2d", renumber_instances, "objects without a mask", False),
    "a2d size": ("a2d", transpose_masks, "masks whose size is not that of their frame", False),
    "a2d subsets": (
        "a2d", uncached(lambda root: (root / "Release/videoset.csv").write_text("")), "videos without a subset", False,
    ),
    "a2d list": (
        "a2d", uncached(lambda root: (root / "text_annotations/a2d_annotation.txt").unlink()), "broken lists", False,
    ),
    "a2d cached list": (
        "a2d", lambda root: cut(root / "a2d_sentences_single_frame_train_annotations.json"), "broken lists", False,
    ),
    "jhmdb frame": ("jhmdb", lambda root: first(root, "Rename_Images/*/*/*.png").unlink(), "missing frames", False),
    "jhmdb masks": ("jhmdb", lambda root: jhmdb_masks(root).unlink(), "missing masks", False),
    "jhmdb cut": ("jhmdb", lambda root: jhmdb_masks(root).write_bytes(b"junk"), "masks that cannot be read", False),
    "jhmdb size": (
        "jhmdb", lambda root: savemat(root, np.ones((4, 4, 4), np.uint8)), "masks that do not fit to their frames",
        False,
    ),
    "jhmdb empty": (
        "jhmdb", lambda root: savemat(root, np.zeros((64, 96, 4), np.uint8)), "objects without a mask", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "damage", "kind", "deep"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_has_a_fix(
    copied: Callable[[str], Path], layout: str, damage: Callable[[Path], object], kind: str, deep: bool
) -> None:
    root = copied(layout)
    damage(root)
    report = check_benchmark(layout.removesuffix("-raw"), root, deep=deep)
    assert kind in kinds(report)
    assert all(finding.fix and finding.places for finding in report.findings)
    if deep:  # headers and lists alone do not show it
        assert kind not in kinds(check_benchmark(layout.removesuffix("-raw"), root))


def test_it_goes_on_and_counts_what_it_does_not_list(copied: Callable[[str], Path]) -> None:
    root = copied(YOUTUBE)
    for path in (root / "train" / "JPEGImages").glob("*/0000[12].jpg"):
        path.unlink()
    (root / "valid" / "Annotations" / "000000" / "00000.png").unlink()
    report = check_benchmark(YOUTUBE, root)
    assert kinds(report) == {"missing frames": 8, "missing annotations": 1}
    assert report.problems == 9
    assert len(report.findings[0].places) == LISTED


def test_cached_lists_of_a2d_are_checked_too(copied: Callable[[str], Path]) -> None:
    root = copied("a2d")
    entry = A2DSentences(root).entries[0]
    rows = [[entry.query, entry.video, entry.frame, entry.instance], ["a dog", entry.video, entry.frame, 77]]
    for split in ("train", "test"):
        (root / f"a2d_sentences_single_frame_{split}_annotations.json").write_text(json.dumps(rows))
    (root / "Release" / "videoset.csv").unlink()  # not needed then
    report = check_benchmark("a2d", root)
    assert kinds(report) == {"objects without a mask": 2}
    assert [count.found for count in report.counts if count.what == "samples"] == [1, 1]


def test_a_mask_that_is_empty_in_one_frame_is_a_warning(copied: Callable[[str], Path]) -> None:
    root = copied("a2d")
    empty_masks(root)
    report = check_benchmark("a2d", root, deep=True)
    assert kinds(report) == {}
    assert "empty masks" in kinds(report, "warning")


def test_only_the_split_asked_for(copied: Callable[[str], Path]) -> None:
    root = copied(YOUTUBE)
    shutil.rmtree(root / "train" / "JPEGImages")
    assert kinds(check_benchmark(YOUTUBE, root)) == {"lists that cannot be read": 1}
    assert kinds(check_benchmark(YOUTUBE, root, "valid")) == {}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have room for paths."""
    monkeypatch.setenv("COLUMNS", "200")


def test_the_command_tells_in_a_table(run, copied: Callable[[str], Path]) -> None:
    root = copied("a2d")
    code, out, _ = run("data", "check", "a2d", root)
    assert code == 0  # counts unlike the published ones are a warning
    assert "3,782" in out
    assert "warning" in out
    first(root / CLIPS, "*.mp4").unlink()
    code, out, _ = run("data", "check", "a2d", root)
    assert code == 1
    assert "missing videos" in out
    assert "get the videos of the release anew" in out


def test_json_is_one_object_and_nothing_else(run, copied: Callable[[str], Path]) -> None:
    root = copied("jhmdb")
    jhmdb_masks(root).unlink()
    code, out, _ = run("data", "check", "jhmdb", root, "--json", "--deep")
    result = json.loads(out)
    assert code == 1
    assert result["problems"] == 1
    assert result["findings"][0]["kind"] == "missing masks"
    assert result["counts"][0] == {"split": "test", "what": "videos", "found": 4, "published": [928]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a3d", "."), "There is no benchmark 'a3d'"),
        (("a2d", "nowhere"), "nowhere is not a folder"),
        (("a2d", ".", "--split", "valid"), "no split 'valid'"),
    ],
)
def test_mistakes_end_with_one_sentence(run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("data", "check", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    for name in ("ref-youtube-vos", "ref-davis17", "mevis", "refcoco", "a2d", "jhmdb"):
        assert check_benchmark(name, tmp_path).problems


def test_names_of_folders_are_no_markup(run, copied: Callable[[str], Path]) -> None:
    root = copied("jhmdb")
    jhmdb_masks(root).unlink()
    root = root.rename(root.with_name("[red]"))
    code, out, _ = run("data", "check", "jhmdb", root)
    assert code == 1
    assert out.count("[red]") >= 2
