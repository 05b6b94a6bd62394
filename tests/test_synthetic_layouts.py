"""Generated data in the benchmarks' layouts: repeatable, complete or not there, nobody else's files touched."""

import json
import pickle
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generated_layouts import CONFIG, SEED, write_layout
from pycocotools.coco import COCO

from sgmg import cli
from sgmg.data.ref_davis import RefDAVIS17
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.layouts import LAYOUTS
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError

REFCOCO = ("refcoco", "refcoco+", "refcocog")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_seed_same_bytes(tmp_path: Path, layout: str) -> None:
    for folder in ("one", "two"):
        write_layout(tmp_path / folder, layout, 4)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    write_videos(tmp_path / "one", CONFIG, SEED, 4, layout="refcoco")
    write_videos(tmp_path / "two", CONFIG, SEED, 4, layout="refcoco", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_replaced_unless_asked(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "data"
    write_layout(root, layout, 4)
    before = files_of(root)
    other = replace(CONFIG, size=(64, 80))
    with pytest.raises(InputError, match="--overwrite"):
        write_videos(root, other, SEED, 4, layout=layout)
    assert files_of(root) == before
    write_videos(root, other, SEED, 4, layout=layout, overwrite=True)
    assert files_of(root) != before
    write_videos(tmp_path / "anew", other, SEED, 4, layout=layout)
    assert files_of(root) == files_of(tmp_path / "anew")  # nothing of the old is left


@pytest.mark.parametrize("layout", LAYOUTS)
def test_after_an_error_nothing_is_left(tmp_path: Path, layout: str) -> None:
    def interrupt(written: Iterable[Any]) -> Iterator[Any]:
        yield next(iter(written))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_videos(tmp_path / "data", CONFIG, SEED, 4, layout=layout, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_three_refcoco_share_a_folder_of_images(tmp_path: Path) -> None:
    for layout in REFCOCO:
        write_layout(tmp_path, layout, 4)
    before = files_of(tmp_path)
    assert sum(name.startswith("train2014/COCO_train2014_") for name in before) == 12
    write_videos(tmp_path, CONFIG, SEED + 1, 5, layout="refcoco+", overwrite=True)
    after = files_of(tmp_path)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert all(
        name.startswith(("refcoco+/", "train2014/COCO_train2014_000001")) or name == "train2014/synth.json"
        for name in changed
    )
    assert len([name for name in changed if name.startswith("train2014/COCO")]) == 5


def test_a_real_folder_of_images_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "train2014").mkdir()
    (tmp_path / "train2014" / "COCO_train2014_000000000009.jpg").write_bytes(b"real")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="holds other things"):
            write_videos(tmp_path, CONFIG, SEED, 4, layout="refcoco", overwrite=overwrite)
    assert files_of(tmp_path) == {"train2014/COCO_train2014_000000000009.jpg": b"real"}


def test_instances_are_coco_and_references_fit_them(tmp_path: Path) -> None:
    write_layout(tmp_path, "refcoco", 4)
    coco = COCO(tmp_path / "refcoco" / "instances.json")
    assert {"info", "licenses"} < coco.dataset.keys()  # which converters copy
    references = pickle.loads((tmp_path / "refcoco" / "refs(unc).p").read_bytes())
    assert {reference["split"] for reference in references} == {"train", "val", "testA", "testB"}
    for reference in references:
        (annotation,) = coco.loadAnns(reference["ann_id"])
        assert annotation["image_id"] == reference["image_id"]
        assert annotation["category_id"] == reference["category_id"]
        assert coco.annToMask(annotation).sum() == annotation["area"]
        assert [sentence["sent_id"] for sentence in reference["sentences"]] == reference["sent_ids"]
        assert all(sentence["tokens"] == sentence["sent"].split() for sentence in reference["sentences"])


def test_refcoco_plus_has_no_words_for_places(tmp_path: Path) -> None:
    write_layout(tmp_path, "refcoco+", 12)
    references = pickle.loads((tmp_path / "refcoco+" / "refs(unc).p").read_bytes())
    words = {word for reference in references for sentence in reference["sentences"] for word in sentence["tokens"]}
    assert len(words) > 10
    assert not words & {"left", "right", "top", "bottom", "leftmost", "rightmost", "above", "below", "beside"}


def test_splits_of_one_root_are_added(tmp_path: Path) -> None:
    write_layout(tmp_path, "ref-davis17", 2, split="train")
    write_layout(tmp_path, "ref-davis17", 2, split="valid")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"meta_expressions", "train", "valid"}
    train, valid = (
        json.loads((tmp_path / "meta_expressions" / split / "meta_expressions.json").read_text())
        for split in ("train", "valid")
    )
    assert train != valid


def test_things_that_nobody_describes_are_background(tmp_path: Path) -> None:
    config = replace(CONFIG, objects=(3, 3), expressions=1, kinds=("name", "attribute", "position"))
    write_videos(tmp_path, config, SEED, 2, layout="ref-davis17")
    content = json.loads((tmp_path / "train" / "meta.json").read_text())["videos"]
    assert all(list(entry["objects"]) == ["1"] for entry in content.values())
    data = RefDAVIS17(tmp_path, "train")
    for video in data.videos:
        assert data.annotations(video).unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("coco", {}, "Unknown layout 'coco': use one of ref-youtube-vos"),
        ("refcoco", {"split": "train"}, "holds all splits together"),
        ("ref-davis17", {"split": "valid_u"}, "Unknown split 'valid_u' of ref-davis17"),
        ("mevis", {"split": "test"}, "use one of train, valid_u, valid"),
        ("refcoco", {"count": 3}, "ask for at least 4"),
        ("refcocog", {"count": 2}, "ask for at least 3"),
        ("ref-davis17-raw", {"count": 1}, "ask for at least 2"),
        ("mevis", {"count": 0}, "ask for at least 1"),
        ("ref-davis17", {"kinds": ("absent",)}, "no expressions of the kinds absent"),
        ("refcoco+", {"kinds": ("position", "motion")}, "no expressions of the kinds position, motion"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, layout: str, changes: dict, message: str) -> None:
    config = replace(CONFIG, kinds=changes.get("kinds", CONFIG.kinds))
    with pytest.raises(InputError, match=message):
        write_videos(tmp_path / "data", config, 0, changes.get("count", 4), layout=layout, split=changes.get("split"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("layout", "made"), [("refcocog", "refcocog/refs(umd).p"), ("mevis", "train/mask_dict.json")])
def test_synth_command_takes_a_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, layout: str, made: str
) -> None:
    arguments = ["--layout", layout, "--videos", "3", "--size", "64x96", "--length", "2"]
    monkeypatch.setattr(sys, "argv", ["sgmg", "synth", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert (tmp_path / made).is_file()
    assert layout in capsys.readouterr().out


def test_layouts_do_not_change_what_was_asked_for() -> None:
    config = SyntheticConfig(length=7)
    assert LAYOUTS["refcoco"].configure(config).length == 1
    assert config.length == 7
