"""Reading Ref-DAVIS17, raw and converted, whole and broken."""

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_layouts import Damage, cut, edit_json, generator, remove, write, write_layout

from sgmg.data.ref_davis import RefDAVIS17
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.errors import InputError
from sgmg.evaluation.ref_davis import ModelPredictor


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("raw")
    write_layout(root, "ref-davis17-raw", 3)
    return root


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("converted")
    write_layout(root, "ref-davis17", 2, split="valid")
    return root


def check(data: RefDAVIS17, first: int, count: int, split: str) -> None:
    """Videos, objects and annotators are those that were generated."""
    videos = generator("ref-davis17", split)
    assert [video.name for video in data.videos] == [f"{index:06d}" for index in range(first, first + count)]
    for index, video in enumerate(data.videos, first):
        made = videos.generate(index)
        said = {expression.object_id: set() for expression in made.expressions}
        for expression in made.expressions:
            said[expression.object_id].add(expression.text)
        described = [thing for thing in made.objects if thing.id in said]
        assert len(video.expressions) == 4 * len(described)
        labels = data.annotations(video).numpy()
        for k, expression in enumerate(video.expressions):
            thing = described[k // 4]
            assert expression.id == str(k)
            assert data.annotator(expression) == k % 4
            assert expression.object_ids == (k // 4 + 1,)
            assert expression.text in said[thing.id]
            assert video.categories[k // 4 + 1] == thing.kind
            masks = data.masks(video, expression).numpy()
            np.testing.assert_array_equal(masks, made.masks == thing.id)
            np.testing.assert_array_equal(masks, labels == k // 4 + 1)


def test_the_raw_files_are_read(raw: Path) -> None:
    data = RefDAVIS17(raw)
    assert data.annotated
    check(data, first=2, count=1, split="valid")
    check(RefDAVIS17(raw, "train"), first=0, count=2, split="train")
    sample = data[0]
    assert sample.frames.shape == (3, 3, 64, 96)
    assert (sample.video, sample.expression_id, sample.frame_names) == ("000002", "0", ["00000", "00001", "00002"])


def test_the_converted_form_is_read_and_is_ref_youtube_vos(converted: Path) -> None:
    data = RefDAVIS17(converted)
    check(data, first=0, count=2, split="valid")
    assert RefYouTubeVOS(converted, "valid").videos == data.videos


def test_converted_expressions_may_be_in_any_order_and_without_objects(converted: Path, tmp_path: Path) -> None:
    def scramble(content: dict) -> None:
        for video in content["videos"].values():
            items = sorted(video["expressions"].items(), reverse=True)
            video["expressions"] = {key: {"exp": entry["exp"]} for key, entry in items}

    root = shutil.copytree(converted, tmp_path / "data")
    edit_json("meta_expressions/valid/meta_expressions.json", scramble)(root)
    assert RefDAVIS17(root).videos == RefDAVIS17(converted).videos


def test_misspelt_videos_and_both_encodings_are_understood(raw: Path, tmp_path: Path) -> None:
    root = shutil.copytree(raw, tmp_path / "data")
    for right, wrong, name in (("classic-car", "clasic-car", "000000"), ("motorbike", "motor-bike", "000001")):
        for folder in ("JPEGImages", "Annotations_unsupervised"):
            (root / "DAVIS" / folder / "480p" / name).rename(root / "DAVIS" / folder / "480p" / right)
        for number, text in enumerate(("ü1", "ü1_full_video", "ü2", "ü2_full_video")):
            path = root / "davis_text_annotations" / f"Davis17_annot{text[1:]}.txt"
            encoding = "utf-8" if number < 2 else "latin-1"
            lines = path.read_text(encoding=encoding).replace(f'{name} 1 "', f'{wrong} 1 "a caf\u00e9, ')
            path.write_text(lines.replace(f"{name} ", f"{wrong} "), encoding=encoding)
        sets = root / "DAVIS/ImageSets/2017/train.txt"
        sets.write_text(sets.read_text().replace(name, right))
    data = RefDAVIS17(root, "train")
    assert [video.name for video in data.videos] == ["classic-car", "motorbike"]
    for video in data.videos:
        assert all(expression.text.startswith("a café, ") for expression in video.expressions[:4])
        assert data.frames(video).shape == (3, 3, 64, 96)


def test_lines_about_videos_of_other_splits_do_not_matter(raw: Path, tmp_path: Path) -> None:
    root = shutil.copytree(raw, tmp_path / "data")
    for path in (root / "davis_text_annotations").iterdir():
        path.write_text(path.read_text() + 'challenge 1 "a"\nchallenge 1 "b"\nother\n')
    assert RefDAVIS17(root).videos == RefDAVIS17(raw).videos


def test_where_both_forms_lie_in_one_folder_the_converted_is_read(raw: Path, converted: Path, tmp_path: Path) -> None:
    root = shutil.copytree(raw, tmp_path / "data")
    shutil.copytree(converted, root, dirs_exist_ok=True)
    assert RefDAVIS17(root).videos == RefDAVIS17(converted).videos


TEXT = "davis_text_annotations/Davis17_annot1.txt"
LAST = "davis_text_annotations/Davis17_annot2_full_video.txt"
SET = "DAVIS/ImageSets/2017/val.txt"
FRAMES = "DAVIS/JPEGImages/480p/000002"

BROKEN_RAW: dict[str, tuple[Damage, str]] = {
    "text missing": (remove(LAST), "Davis17_annot2_full_video.txt is missing"),
    "text empty": (write(TEXT, b""), "Davis17_annot1.txt has no expression for object 1 of '000002'"),
    "texts empty": (
        lambda root: [path.write_bytes(b"") for path in (root / "davis_text_annotations").iterdir()],
        "Davis17_annot1.txt has no expression for the video '000002'",
    ),
    "text cut short": (cut(LAST, 20), "Davis17_annot2_full_video.txt"),
    "line without an expression": (write(TEXT, b"000002 1\n"), "Davis17_annot1.txt, line 1"),
    "line with an empty expression": (write(TEXT, b'000002 1 ""\n'), "Davis17_annot1.txt, line 1"),
    "object a word": (write(TEXT, b'000002 dog "a dog"\n'), "'dog' is not the id"),
    "object twice": (write(TEXT, b'000002 1 "a"\n000002 1 "b"\n'), "line 2: object 1"),
    "object only here": (
        lambda root: (root / LAST).write_text((root / LAST).read_text() + '000002 9 "a dog"\n'),
        "Davis17_annot1.txt has no expression for object 9",
    ),
    "text not UTF-8": (write(TEXT, b"\xff\xff\xff"), "Davis17_annot1.txt is not text in UTF-8"),
    "set missing": (remove(SET), "val.txt is missing"),
    "set empty": (write(SET, b"\n"), "val.txt lists no video"),
    "set leads out": (write(SET, b"../000002\n"), "val.txt: '../000002'"),
    "categories broken": (write("DAVIS/davis_semantics.json", b"{"), "davis_semantics.json is not valid JSON"),
    "categories a list": (write("DAVIS/davis_semantics.json", b"[]"), "davis_semantics.json must hold"),
    "video missing": (lambda root: shutil.rmtree(root / FRAMES), "000002 is missing"),
    "video empty": (
        lambda root: [path.unlink() for path in (root / FRAMES).iterdir()],
        "000002 holds no frames",
    ),
    "frame cut short": (cut(f"{FRAMES}/00001.jpg", 300), "00001.jpg is damaged"),
    "mask missing": (remove("DAVIS/Annotations_unsupervised/480p/000002/00001.png"), "00001.png is missing"),
    "masks missing": (
        lambda root: shutil.rmtree(root / "DAVIS/Annotations_unsupervised"),
        "the split has no annotations",
    ),
    "frames missing": (lambda root: shutil.rmtree(root / "DAVIS/JPEGImages"), "000002 is missing"),
    "no DAVIS": (lambda root: shutil.rmtree(root / "DAVIS"), "holds no Ref-DAVIS17"),
}


@pytest.mark.parametrize("name", BROKEN_RAW)
def test_what_is_broken_in_raw_files_is_named(raw: Path, tmp_path: Path, name: str) -> None:
    damage, message = BROKEN_RAW[name]
    root = shutil.copytree(raw, tmp_path / "data")
    damage(root)
    with pytest.raises(InputError) as caught:
        RefDAVIS17(root)[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


LIST = "meta_expressions/valid/meta_expressions.json"
BROKEN_CONVERTED: dict[str, tuple[Damage, str]] = {
    "expression missing": (
        edit_json(LIST, lambda content: content["videos"]["000000"]["expressions"].pop("3")),
        "four for each object",
    ),
    "expressions named otherwise": (
        edit_json(
            LIST,
            lambda content: content["videos"]["000000"].update(expressions={"a": {"exp": "a dog", "obj_id": "1"}}),
        ),
        "four for each object",
    ),
    "objects mixed": (
        edit_json(LIST, lambda content: content["videos"]["000000"]["expressions"]["1"].update(obj_id="2")),
        "must be of one object",
    ),
    "object twice": (
        edit_json(
            LIST,
            lambda content: [e.update(obj_id="1") for e in content["videos"]["000000"]["expressions"].values()],
        ),
        "more than one expression of an annotator",
    ),
    "list cut short": (cut(LIST), "meta_expressions.json is not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN_CONVERTED)
def test_what_is_broken_in_the_converted_form_is_named(converted: Path, tmp_path: Path, name: str) -> None:
    damage, message = BROKEN_CONVERTED[name]
    root = shutil.copytree(converted, tmp_path / "data")
    damage(root)
    with pytest.raises(InputError, match=message):
        RefDAVIS17(root)


def test_other_splits_are_refused(raw: Path) -> None:
    with pytest.raises(InputError, match="use train or valid"):
        RefDAVIS17(raw, "test")


def test_lists_are_as_published(raw: Path, converted: Path) -> None:
    assert (raw / "DAVIS/ImageSets/2017/train.txt").read_text() == "000000\n000001\n"
    line = (raw / TEXT).read_text().splitlines()[0].split(" ", 2)
    assert line[:2] == ["000000", "1"]
    assert line[2][0] == line[2][-1] == '"'
    entry = json.loads((converted / LIST).read_text())["videos"]["000000"]["expressions"]["4"]
    assert entry.keys() == {"exp", "obj_id"}
    assert entry["obj_id"] == "2"


def test_labels_of_clips_follow_each_other(converted: Path) -> None:
    class Bright:
        """A model that finds what is bright, in the frames that it is given."""

        def encode(self, frames: np.ndarray) -> Any:
            self.frames = frames
            return nullcontext(self)

        def each_probability(self, texts: list[str], min_score: float | None) -> Iterator[np.ndarray]:
            return iter([self.frames.mean(-1, dtype=np.float32) / 255] * len(texts))

    data = RefDAVIS17(converted)
    video = data.videos[0]
    predict = ModelPredictor(Bright(), clip_length=2)  # type: ignore[arg-type]
    found = predict(data, video)[0][0](range(len(video.frames)))
    frames = data.frames(video).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(found, frames.mean(-1, dtype=np.float32) / 255 > 0.5)
    assert found.any()
