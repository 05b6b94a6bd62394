"""Reading RefCOCO, RefCOCO+ and RefCOCOg, raw and converted, whole and broken."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_layouts import Damage, cut, edit_json, generator, remove, write, write_layout
from PIL import Image

from sgmg.data.refcoco import RefCOCO
from sgmg.errors import InputError

FIRST = {"refcoco": 0, "refcoco+": 1_000_000, "refcocog": 2_000_000}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    for name in FIRST:
        write_layout(root, name, 5)
    return root


@pytest.mark.parametrize("name", FIRST)
def test_sentences_masks_and_splits_are_those_that_were_generated(root: Path, name: str) -> None:
    splits = ["train", "val", "test"] if name == "refcocog" else ["train", "val", "testA", "testB"]
    images: list[set[str]] = []
    for split in splits:
        data = RefCOCO(root, name, split)
        videos = generator(name, "train" if split == "train" else "valid")
        images.append({entry.file_name for entry in data.entries})
        for place, sample in enumerate(data):  # type: ignore[arg-type,var-annotated]
            number = int(sample.video.removeprefix("COCO_train2014_"))
            made = videos.generate(number - 1)
            assert number > FIRST[name]
            assert sample.frame_names == [f"COCO_train2014_{number:012d}.jpg"]
            assert sample.expression_id == data.entries[place].sentence_id
            assert sample.frames.shape == (1, 3, 64, 96)
            assert sample.frames.dtype == torch.uint8
            meant = {e.object_id for e in made.expressions if e.text.replace("video", "picture") == sample.expression
                     or e.text == sample.expression}  # fmt: skip
            masks = [made.masks == object_id for object_id in meant]
            assert any(np.array_equal(sample.masks.numpy(), mask) for mask in masks)
    assert sum(map(len, images)) == len(set.union(*images)) == 5


def test_the_pickle_names_other_files_than_there_are(root: Path) -> None:
    # As published: "…_12.jpg" in the pickle, for a crop that is not distributed.
    references = pickle.loads((root / "refcoco/refs(unc).p").read_bytes())
    assert references[0]["file_name"] == "COCO_train2014_000000000001_0.jpg"
    assert RefCOCO(root)[0].frame_names == ["COCO_train2014_000000000001.jpg"]


def convert(root: Path, name: str, split: str) -> None:
    """Write the converted form of a split, as many projects keep it, and delete the raw one."""
    folder = root / name
    pickled = next(folder.glob("refs(*).p"))
    raw = json.loads((folder / "instances.json").read_text())
    images = {image["id"]: image for image in raw["images"]}
    annotations = {annotation["id"]: annotation for annotation in raw["annotations"]}
    converted: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": raw["categories"]}
    for reference in pickle.loads(pickled.read_bytes()):
        for sentence in reference["sentences"] if reference["split"] == split else []:
            number = len(converted["images"])
            image = images[reference["image_id"]]
            converted["images"].append(
                image | {"id": number, "original_id": image["id"], "caption": sentence["sent"], "dataset_name": name}
            )
            annotation = annotations[reference["ann_id"]]
            converted["annotations"].append(
                annotation | {"id": number, "image_id": number, "original_id": annotation["id"]}
            )
    (folder / f"instances_{name}_{split}.json").write_text(json.dumps(converted))
    pickled.unlink()
    (folder / "instances.json").unlink()


@pytest.mark.parametrize("name", FIRST)
def test_the_converted_form_gives_the_same_samples(root: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(root, tmp_path / "data")
    convert(copy, name, "val")
    raw, converted = RefCOCO(root, name, "val"), RefCOCO(copy, name, "val")
    assert len(raw) == len(converted)
    for one, other in zip(raw, converted, strict=True):  # type: ignore[arg-type,var-annotated]
        assert (one.expression, one.video, one.frame_names) == (other.expression, other.video, other.frame_names)
        assert torch.equal(one.masks, other.masks)
        assert torch.equal(one.frames, other.frames)
    with pytest.raises(InputError, match=r"instances_.*_train\.json"):
        RefCOCO(copy, name, "train")


def test_both_partitions_of_refcocog_are_read(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "data")
    references = pickle.loads((copy / "refcocog/refs(umd).p").read_bytes())
    (copy / "refcocog/refs(google).p").write_bytes(pickle.dumps(references[:1]))
    everything = len(RefCOCO(copy, "refcocog"))
    few = len(references[0]["sentences"])
    assert len(RefCOCO(copy, "refcocog", partition="google")) == few < everything
    (copy / "refcocog/refs(umd).p").unlink()
    assert len(RefCOCO(copy, "refcocog")) == few
    with pytest.raises(InputError, match=r"refs\(umd\)\.p is missing"):
        RefCOCO(copy, "refcocog", partition="umd")
    with pytest.raises(InputError, match="no partition 'unc'"):
        RefCOCO(copy, "refcocog", partition="unc")


def test_run_lengths_and_sentences_without_clean_words_are_read(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "data")
    runs = {"size": [64, 96], "counts": [64 * 95, 64]}
    edit_annotation(lambda annotation: annotation.update(segmentation=runs, iscrowd=1))(copy)
    edit_reference(lambda reference: reference["sentences"][0].update(sent="", raw="The LAST column!"))(copy)
    sample = RefCOCO(copy)[0]
    assert sample.expression == "The LAST column!"
    assert sample.boxes.tolist() == [[95, 0, 95, 63]]


PICKLE = "refcoco/refs(unc).p"
INSTANCES = "refcoco/instances.json"
IMAGE = "train2014/COCO_train2014_000000000001.jpg"


def edit_reference(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the first reference."""

    def apply(root: Path) -> None:
        references = pickle.loads((root / PICKLE).read_bytes())
        change(references[0])
        (root / PICKLE).write_bytes(pickle.dumps(references, protocol=2))

    return apply


def edit_annotation(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the annotation of the first reference."""

    def apply(root: Path) -> None:
        wanted = pickle.loads((root / PICKLE).read_bytes())[0]["ann_id"]
        edit_json(
            INSTANCES,
            lambda content: [change(entry) for entry in content["annotations"] if entry["id"] == wanted],
        )(root)

    return apply


def edit_image(**changes: Any) -> Damage:
    """Change the first image's entry."""
    return edit_json(INSTANCES, lambda content: content["images"][0].update(changes))


class Hostile:
    """Runs a command when unpickled by others."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


BROKEN: dict[str, tuple[Damage, str]] = {
    "pickle missing": (remove(PICKLE), "refs(unc).p is missing, and so is instances_refcoco_train.json"),
    "pickle empty": (write(PICKLE, b""), "refs(unc).p is not a readable pickle"),
    "pickle cut short": (cut(PICKLE), "refs(unc).p is not a readable pickle"),
    "pickle hostile": (write(PICKLE, pickle.dumps([Hostile()])), ".system', which could run code"),
    "pickle of a dict": (write(PICKLE, pickle.dumps({})), "must hold a list of dicts"),
    "pickle of numbers": (write(PICKLE, pickle.dumps([1])), "must hold a list of dicts"),
    "pickle without the split": (write(PICKLE, pickle.dumps([{"split": "val"}])), "no split 'train', only val"),
    "annotation unknown": (edit_reference(lambda r: r.update(ann_id=5)), "asks for annotation 5"),
    "annotation a list": (edit_reference(lambda r: r.update(ann_id=[5])), "asks for annotation [5]"),
    "image unknown": (edit_reference(lambda r: r.update(image_id=99)), "asks for image 99"),
    "image of another": (edit_reference(lambda r: r.update(image_id=2)), "its annotation is of another image"),
    "sentences missing": (edit_reference(lambda r: r.pop("sentences")), 'under "sentences"'),
    "sentence a word": (edit_reference(lambda r: r.update(sentences=["dog"])), '"sent_id"'),
    "sentence empty": (edit_reference(lambda r: r["sentences"][0].update(sent=" ", raw="")), "has no words"),
    "instances missing": (remove(INSTANCES), "instances.json is missing"),
    "instances cut short": (cut(INSTANCES), "instances.json is not valid JSON"),
    "instances a list": (write(INSTANCES, b"[]"), "instances.json must hold an object"),
    "images of numbers": (edit_json(INSTANCES, lambda c: c.update(images=[1])), "instances.json must hold an object"),
    "image twice": (edit_json(INSTANCES, lambda c: c["images"].append(c["images"][0])), "each image must have"),
    "image without id": (edit_json(INSTANCES, lambda c: c["images"][0].pop("id")), "each image must have"),
    "file leads out": (edit_image(file_name="../../secret.jpg"), "'../../secret.jpg'"),
    "height missing": (edit_image(height=None), '"height"'),
    "size differs": (edit_image(height=63), "is 96x64, but"),
    "polygons missing": (edit_annotation(lambda a: a.pop("segmentation")), "neither a list of polygons nor"),
    "polygon too short": (edit_annotation(lambda a: a.update(segmentation=[[1, 2]])), "at least three points"),
    "polygon far outside": (
        edit_annotation(lambda a: a.update(segmentation=[[0, 0, 1e15, 0, 1e15, 9]])),
        "far outside of the image",
    ),
    "run lengths damaged": (
        edit_annotation(lambda a: a.update(segmentation={"size": [64, 96], "counts": [5]})),
        "its run lengths are damaged",
    ),
    "image missing": (remove(IMAGE), "000000000001.jpg is missing"),
    "image empty": (write(IMAGE, b""), "000000000001.jpg is not a readable image"),
    "image cut short": (cut(IMAGE, 300), "000000000001.jpg is damaged"),
    "images missing": (lambda root: shutil.rmtree(root / "train2014"), "train2014 is missing"),
    "folder missing": (lambda root: shutil.rmtree(root / "refcoco"), "refcoco is missing"),
}


def expect(damage: Damage, message: str, root: Path, copy: Path) -> None:
    shutil.copytree(root, copy)
    damage(copy)
    with pytest.raises(InputError) as caught:
        RefCOCO(copy)[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(root: Path, tmp_path: Path, name: str) -> None:
    expect(*BROKEN[name], root, tmp_path / "data")


CONVERTED = "refcoco/instances_refcoco_train.json"
BROKEN_CONVERTED: dict[str, tuple[Damage, str]] = {
    "caption missing": (edit_json(CONVERTED, lambda c: c["images"][0].pop("caption")), '"caption"'),
    "annotation missing": (edit_json(CONVERTED, lambda c: c["annotations"].pop(0)), "entry 0 has no annotation"),
    "annotation twice": (
        edit_json(CONVERTED, lambda c: c["annotations"][1].update(image_id=0)),
        "entry 0 has two annotations",
    ),
    "image unknown": (edit_json(CONVERTED, lambda c: c["annotations"][0].update(image_id=999)), "asks for image 999"),
    "nothing": (write(CONVERTED, b'{"images": [], "annotations": []}'), "lists no sentence"),
    "cut short": (cut(CONVERTED), "is not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN_CONVERTED)
def test_what_is_broken_in_the_converted_form_is_named(root: Path, tmp_path: Path, name: str) -> None:
    damage, message = BROKEN_CONVERTED[name]

    def convert_and_damage(copy: Path) -> None:
        convert(copy, "refcoco", "train")
        damage(copy)

    expect(convert_and_damage, message, root, tmp_path / "data")


def test_images_of_another_size_than_their_masks_are_named(root: Path, tmp_path: Path) -> None:
    expect(
        lambda copy: Image.open(copy / IMAGE).resize((30, 20)).save(copy / IMAGE),
        "000000000001.jpg is 30x20, but",
        root,
        tmp_path / "data",
    )


def test_other_datasets_and_splits_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="no dataset 'refclef'"):
        RefCOCO(root, "refclef")
    for split in ("test", "../train"):
        with pytest.raises(InputError):
            RefCOCO(root, "refcoco", split)
