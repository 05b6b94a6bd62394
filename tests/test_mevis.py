"""Reading MeViS, whole and broken."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_layouts import Damage, cut, edit_json, generator, remove, write, write_layout
from PIL import Image

from sgmg.data.mevis import MeViS
from sgmg.data.video_data import Expression, Video
from sgmg.errors import InputError
from sgmg.evaluation.expressions import evaluate
from sgmg.evaluation.video_masks import EncodedMasks, VideoMasks


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mevis")
    for split in ("train", "valid_u", "valid"):
        write_layout(root, "mevis", 2, split=split)
    return root


@pytest.mark.parametrize(("split", "generated"), [("train", "train"), ("valid_u", "valid")])
def test_masks_are_unions_of_the_objects(root: Path, split: str, generated: str) -> None:
    data = MeViS(root, split)
    assert data.annotated
    several = 0
    for index, video in enumerate(data.videos):
        made = generator("mevis", generated).generate(index)
        for expression in video.expressions:
            assert expression.object_ids
            ids = [made.objects[place].id for place in expression.object_ids]
            np.testing.assert_array_equal(data.masks(video, expression).numpy(), np.isin(made.masks, ids))
            several += len(ids) > 1
    assert several


def test_only_the_frames_asked_for_are_read(root: Path) -> None:
    data = MeViS(root, "valid_u")
    video = data.videos[0]
    sample = data.sample(video, video.expressions[-1], [2, 0])
    assert sample.frame_names == ["00002", "00000"]
    whole = data.sample(video, video.expressions[-1])
    assert sample.masks.equal(whole.masks[[2, 0]])
    assert sample.frames.equal(whole.frames[[2, 0]])


def test_valid_has_no_masks(root: Path) -> None:
    data = MeViS(root, "valid")
    assert not data.annotated
    assert data.videos[0].expressions[0].object_ids is None
    assert data.frames(data.videos[0]).shape == (3, 3, 64, 96)
    assert not {video.name for video in data.videos} & {video.name for video in MeViS(root, "valid_u").videos}
    with pytest.raises(InputError, match=r"mask_dict\.json is missing"):
        data[0]


def test_an_expression_may_mean_nothing(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "data")
    edit_first(obj_id=[], anno_id=[])(copy)
    assert not MeViS(copy)[0].masks.any()


def test_unions_are_scored_like_objects(root: Path) -> None:
    def perfect(data: Any, video: Video, expressions: list[Expression]) -> list[VideoMasks]:
        return [EncodedMasks.of(data.masks(video, expression).numpy()) for expression in expressions]

    assert evaluate(MeViS(root), perfect).to_dict()["J&F"] == 100  # type: ignore[arg-type]
    shuffled = evaluate(MeViS(root), perfect, shuffle_expressions=True).to_dict()  # type: ignore[arg-type]
    assert shuffled["J&F"] < 60
    assert shuffled["own"]["J&F"] == 100


LIST = "valid_u/meta_expressions.json"
MASKS = "valid_u/mask_dict.json"


def edit_first(**changes: Any) -> Damage:
    """Change the first expression of the first video."""
    return edit_json(LIST, lambda content: content["videos"]["000000"]["expressions"]["0"].update(changes))


def edit_masks(change: Any) -> Damage:
    """Change the masks that the first expression asks for."""

    def apply(root: Path) -> None:
        wanted = json.loads((root / LIST).read_text())["videos"]["000000"]["expressions"]["0"]["anno_id"][0]
        edit_json(MASKS, lambda content: content.update({str(wanted): change(content[str(wanted)])}))(root)

    return apply


def replace_first(mask: Any) -> Damage:
    return edit_masks(lambda masks: [mask, *masks[1:]])


FRAME = "valid_u/JPEGImages/000000/00001.jpg"

BROKEN: dict[str, tuple[Damage, str]] = {
    "list missing": (remove(LIST), "meta_expressions.json is missing"),
    "list cut short": (cut(LIST), "meta_expressions.json is not valid JSON"),
    "list empty": (write(LIST, b""), "meta_expressions.json is not valid JSON"),
    "videos a list": (write(LIST, b'{"videos": []}'), '"videos"'),
    "object a word": (edit_first(obj_id=["dog"]), "\"obj_id\" must be a list of numbers, unlike ['dog']"),
    "object true": (edit_first(obj_id=[True]), '"obj_id" must be'),
    "object negative": (edit_first(obj_id=[-1]), '"obj_id" must be'),
    "object huge": (edit_first(obj_id=["9" * 5000]), '"obj_id" must be'),
    "objects missing": (edit_first(obj_id=None), 'has no "obj_id"'),
    "annotation a list": (edit_first(anno_id=[[0]]), '"anno_id" must be'),
    "annotation unknown": (edit_first(anno_id=[999]), 'asks for mask "999"'),
    "annotation missing": (edit_first(anno_id=[]), 'as many ids under "anno_id"'),
    "video leads out": (
        edit_json(LIST, lambda content: content["videos"].update({"../x": content["videos"]["000000"]})),
        "'../x'",
    ),
    "masks cut short": (cut(MASKS), "mask_dict.json is not valid JSON"),
    "masks a list": (write(MASKS, b"[]"), "mask_dict.json must hold an object"),
    "masks missing": (remove(MASKS), "mask_dict.json is missing"),
    "mask a word": (replace_first("mask"), "must be run lengths or null"),
    "mask without a size": (replace_first({"counts": "g0"}), 'must have a "size"'),
    "mask of another size": (replace_first({"size": [4, 4], "counts": "`0"}), "is 4x4, but its image is 96x64"),
    "mask damaged": (replace_first({"size": [64, 96], "counts": "zz"}), "its run lengths are damaged"),
    "object no list": (edit_masks(lambda masks: 5), "must be a list of run lengths or null"),
    "too few masks": (edit_masks(lambda masks: masks[:-1]), "has 2 masks, but '000000' has 3 frames"),
    "frame missing": (remove(FRAME), "00001.jpg is missing"),
    "frame cut short": (cut(FRAME, 300), "00001.jpg is damaged"),
    "frame of another size": (
        lambda root: Image.open(root / FRAME).resize((30, 20)).save(root / FRAME),
        "00001.jpg is 30x20",
    ),
    "frames missing": (lambda root: shutil.rmtree(root / "valid_u/JPEGImages"), "JPEGImages is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(root: Path, tmp_path: Path, name: str) -> None:
    damage, message = BROKEN[name]
    copy = shutil.copytree(root, tmp_path / "data")
    damage(copy)
    with pytest.raises(InputError) as caught:
        MeViS(copy)[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", ["../valid_u", "unknown"])
def test_splits_that_are_not_there(root: Path, split: str) -> None:
    with pytest.raises(InputError):
        MeViS(root, split)
