"""Reading data in the layout of Ref-YouTube-VOS, whole and broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ref_youtube_vos_layout import two_squares, write_dataset, write_list, write_video

from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.errors import InputError


def test_a_sample_has_frames_masks_boxes_and_names(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    data = RefYouTubeVOS(tmp_path, "valid")
    assert len(data) == 5
    assert data.annotated

    sample = data[1]
    assert (sample.video, sample.expression_id, sample.kind) == ("pair", "1", "position")
    assert sample.expression == "the square on the right"
    assert sample.frame_names == ["00000", "00005", "00010"]
    assert sample.frames.shape == (3, 3, 40, 60)
    assert sample.frames.dtype == torch.uint8
    np.testing.assert_array_equal(sample.masks.numpy(), two_squares() == 2)
    assert sample.present.tolist() == [True, True, False]
    assert sample.boxes.tolist() == [[35, 15, 54, 34], [35, 15, 54, 34], [0, 0, 0, 0]]
    # The object is green there: frames are RGB, channels first.
    inside = sample.frames[0, :, 20:30, 40:50].float().mean(dim=(1, 2))
    assert inside.argmax() == 1


def test_an_object_in_no_annotation_has_empty_masks(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    sample = RefYouTubeVOS(tmp_path, "valid")[3]
    assert sample.expression == "the blue circle"
    assert not sample.masks.any()
    assert not sample.boxes.any()


def test_only_the_frames_asked_for_are_read(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (tmp_path / "valid" / folder / "pair" / f"00005.{suffix}").write_bytes(b"not an image")
    data = RefYouTubeVOS(tmp_path, "valid")
    video = data.videos[0]
    sample = data.sample(video, video.expressions[0], indices=[2, 0])
    assert sample.frame_names == ["00010", "00000"]
    assert sample.frames.shape == (2, 3, 40, 60)


def test_valid_is_what_the_valid_list_has_and_the_test_list_has_not(tmp_path: Path) -> None:
    videos = write_dataset(tmp_path)
    write_list(tmp_path, "test", {"single": videos["single"]})
    assert [video.name for video in RefYouTubeVOS(tmp_path, "valid").videos] == ["pair"]
    # The published test frames lie in the folder of valid.
    test = RefYouTubeVOS(tmp_path, "test")
    assert [video.name for video in test.videos] == ["single"]
    assert test.frames(test.videos[0]).shape == (3, 3, 40, 60)


def test_without_annotations_frames_are_read_and_masks_refused(tmp_path: Path) -> None:
    write_video(tmp_path, "valid", "video", two_squares(), ["0", "1", "2"], annotated=False)
    write_list(tmp_path, "valid", {"video": {"expressions": {"0": {"exp": "a dog"}}, "frames": ["0", "1", "2"]}})
    data = RefYouTubeVOS(tmp_path, "valid")
    assert not data.annotated
    assert data.frames(data.videos[0]).shape == (3, 3, 40, 60)
    assert data.videos[0].expressions[0].object_ids is None
    with pytest.raises(InputError, match="obj_id"):
        data[0]


def test_train_has_categories(tmp_path: Path) -> None:
    write_dataset(tmp_path, "train")
    meta = {"pair": {"objects": {"1": {"category": "square", "frames": ["00000"]}, "2": {"category": "box"}}}}
    (tmp_path / "train" / "meta.json").write_text(json.dumps({"videos": meta}))
    videos = RefYouTubeVOS(tmp_path, "train").videos
    assert videos[0].categories == {1: "square", 2: "box"}
    assert videos[1].categories == {}


def test_own_data_may_have_png_frames_and_grey_annotations(tmp_path: Path) -> None:
    write_dataset(tmp_path, "mine")
    for path in sorted((tmp_path / "mine" / "JPEGImages" / "pair").iterdir()):
        Image.open(path).convert("RGBA").save(path.with_suffix(".png"))
        path.unlink()
        annotation = tmp_path / "mine" / "Annotations" / "pair" / f"{path.stem}.png"
        Image.fromarray(np.asarray(Image.open(annotation))).save(annotation)
    sample = RefYouTubeVOS(tmp_path, "mine")[0]
    np.testing.assert_array_equal(sample.masks.numpy(), two_squares() == 1)


Break = Callable[[Path, dict[str, Any]], object]


def edit(change: Callable[[dict[str, Any]], object]) -> Break:
    """Write the list again after a change to its video "pair"."""

    def apply(root: Path, videos: dict[str, Any]) -> None:
        change(videos["pair"])
        write_list(root, "valid", videos)

    return apply


def write(name: str, content: bytes) -> Break:
    return lambda root, _: (root / name).write_bytes(content)


def resize(name: str) -> Break:
    return lambda root, _: Image.open(root / name).resize((30, 20)).save(root / name)


LIST = "meta_expressions/valid/meta_expressions.json"
FRAME = "valid/JPEGImages/pair/00005.jpg"
MASK = "valid/Annotations/pair/00005.png"

BROKEN: dict[str, tuple[Break, str]] = {
    "list missing": (lambda root, _: (root / LIST).unlink(), "meta_expressions.json is missing"),
    "list cut short": (write(LIST, b'{"videos": {'), "meta_expressions.json is not valid JSON"),
    "list not text": (write(LIST, b"\xff\xfe\x00"), "meta_expressions.json is not valid JSON"),
    "list nested without end": (write(LIST, b"[" * 200_000), "meta_expressions.json is not valid JSON"),
    "list of lists": (write(LIST, b"[]"), '"videos"'),
    "videos a list": (write(LIST, b'{"videos": []}'), '"videos"'),
    "video no object": (write(LIST, b'{"videos": {"a": 1}}'), "'a'"),
    "no frames": (edit(lambda v: v.update(frames=[])), "\"frames\" of 'pair'"),
    "frames a word": (edit(lambda v: v.update(frames="00000")), "\"frames\" of 'pair'"),
    "frame a number": (edit(lambda v: v.update(frames=[0])), "a frame of 'pair'"),
    "frame leads out": (edit(lambda v: v.update(frames=["../../x"])), "a frame of 'pair'"),
    "frame absolute": (edit(lambda v: v.update(frames=["/etc/passwd"])), "a frame of 'pair'"),
    "frame leads out on Windows": (edit(lambda v: v.update(frames=["..\\x"])), "a frame of 'pair'"),
    "video leads out": (write(LIST, b'{"videos": {"..": {}}}'), "'..'"),
    "video with NUL": (write(LIST, b'{"videos": {"a\\u0000": {}}}'), "a video"),
    "expressions a list": (edit(lambda v: v.update(expressions=[])), "\"expressions\" of 'pair'"),
    "expression id leads out": (
        edit(lambda v: v.update(expressions={"../0": {"exp": "a"}})),
        "an expression",
    ),
    "expression no object": (edit(lambda v: v.update(expressions={"7": "a dog"})), 'expression "7"'),
    "expression blank": (edit(lambda v: v.update(expressions={"7": {"exp": " "}})), 'expression "7"'),
    "expression a number": (edit(lambda v: v.update(expressions={"7": {"exp": 3}})), 'expression "7"'),
    "object is background": (edit(lambda v: v["expressions"]["0"].update(obj_id="0")), "'0' is not the id"),
    "object a word": (edit(lambda v: v["expressions"]["0"].update(obj_id="dog")), "'dog' is not the id"),
    "object huge": (edit(lambda v: v["expressions"]["0"].update(obj_id="9" * 5000)), "is not the id"),
    "object true": (edit(lambda v: v["expressions"]["0"].update(obj_id=True)), "True is not the id"),
    "kind a number": (edit(lambda v: v["expressions"]["0"].update(kind=1)), '"kind"'),
    "meta broken": (write("valid/meta.json", b"{"), "meta.json is not valid JSON"),
    "meta of other types": (write("valid/meta.json", b'{"videos": {"a": {"objects": [1]}}}'), "'a'"),
    "frame missing": (lambda root, _: (root / FRAME).unlink(), "00005.jpg is missing"),
    "frame no image": (write(FRAME, b"GIF8"), "00005.jpg is not a readable image"),
    "frame of another size": (resize(FRAME), "00005.jpg is 30x20"),
    "mask missing": (lambda root, _: (root / MASK).unlink(), "00005.png is missing"),
    "mask no image": (write(MASK, b""), "00005.png is not a readable image"),
    "mask of another size": (resize(MASK), "00005.png is 30x20"),
    "masks of another size": (
        lambda root, _: [
            resize(f"valid/Annotations/pair/{frame}.png")(root, {}) for frame in ("00000", "00005", "00010")
        ],
        "00000.png is 30x20, but the frames of pair are 60x40",
    ),
    "mask in colours": (
        lambda root, _: Image.open(root / MASK).convert("RGB").save(root / MASK),
        "00005.png holds RGB colours",
    ),
    "frame cut short": (
        lambda root, _: (root / FRAME).write_bytes((root / FRAME).read_bytes()[:-200]),
        "00005.jpg is damaged",
    ),
    "mask cut short": (
        lambda root, _: (root / MASK).write_bytes((root / MASK).read_bytes()[:-40]),
        "00005.png is damaged",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(tmp_path: Path, name: str) -> None:
    damage, message = BROKEN[name]
    damage(tmp_path, write_dataset(tmp_path))
    with pytest.raises(InputError) as caught:
        RefYouTubeVOS(tmp_path, "valid")[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("root", "split"), [("nowhere", "valid"), (".", "../valid"), (".", "unknown")])
def test_roots_and_splits_that_are_not_there(tmp_path: Path, root: str, split: str) -> None:
    write_dataset(tmp_path)
    with pytest.raises(InputError):
        RefYouTubeVOS(tmp_path / root, split)


def test_frames_folder_missing(tmp_path: Path) -> None:
    write_list(tmp_path, "valid", {})
    with pytest.raises(InputError, match="JPEGImages is missing"):
        RefYouTubeVOS(tmp_path, "valid")
