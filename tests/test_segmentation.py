"""A segmentation holds masks small, draws them, and is saved whole or not at all."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from videos import square_frame, write_video

from sgmg import Segmentation
from sgmg.errors import InputError
from sgmg.output import new_folder
from sgmg.overlay import PALETTE, Look, Painter
from sgmg.video import open_video, read_video

SIZE = (72, 96)
EXPRESSIONS = ["the white square", "The red: corner?"]


def square_masks(frames: int = 6) -> np.ndarray:
    """(2, T, H, W): the moving square, absent in the last frame, and the corner."""
    masks = np.zeros((2, frames, *SIZE), bool)
    for index in range(frames - 1):
        masks[0, index, 32:48, 4 * index : 4 * index + 16] = True
    masks[1, :, :16, :16] = True
    return masks


@pytest.fixture
def segmentation(tmp_path: Path) -> Segmentation:
    video = open_video(write_video(tmp_path / "squares.mp4", frames=6, sound="aac"))
    scores = np.tile([[0.9], [0.5]], (1, 6))
    return Segmentation.from_masks(square_masks(), EXPRESSIONS, scores, video)


def test_masks_boxes_and_scores(segmentation: Segmentation) -> None:
    assert (segmentation.masks == square_masks()).all()
    assert (segmentation.masks_of(3) == square_masks()[:, 3]).all()
    assert segmentation.boxes.shape == (2, 6, 4)
    assert segmentation.boxes[0, 2].tolist() == [8, 32, 24, 48]
    assert segmentation.boxes[0, 5].tolist() == [0, 0, 0, 0]
    assert segmentation.scores == pytest.approx([0.9, 0.5])
    assert len(segmentation) == 6
    assert "rles" not in repr(segmentation)


def test_random_masks_survive_encoding() -> None:
    masks = np.random.default_rng(0).random((2, 3, 13, 17)) < 0.5
    assert (Segmentation.from_masks(masks, ["a", "b"]).masks == masks).all()


@pytest.mark.parametrize(
    ("shape", "expressions", "scores", "sentence"),
    [
        ((2, 3, 8), ["a", "b"], None, "Masks are (E, T, H, W)"),
        ((2, 3, 8, 8), ["a"], None, "do not go with 1 expressions"),
        ((1, 3, 8, 8), ["a"], np.ones((1, 2)), "scores of shape (1, 2)"),
        ((1, 2, 8, 8), ["a"], None, "has 3 frames of 8x8, the masks 2 of 8x8"),
        ((1, 3, 8, 9), ["a"], None, "has 3 frames of 8x8, the masks 3 of 9x8"),
    ],
)
def test_masks_of_something_else(shape: tuple[int, ...], expressions: list[str], scores: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Segmentation.from_masks(np.zeros(shape, bool), expressions, scores, np.zeros((3, 8, 8, 3), np.uint8))
    assert sentence in str(caught.value)


def test_what_is_saved(segmentation: Segmentation, tmp_path: Path) -> None:
    calls = []
    segmentation.save(tmp_path / "deep" / "out", progress=lambda done, total: calls.append((done, total)))
    out = tmp_path / "deep" / "out"
    assert sorted(p.name for p in out.iterdir()) == ["masks", "overlay.mp4", "result.json"]
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["0-the-white-square", "1-the-red-corner"]
    for index in range(6):
        image = Image.open(out / "masks" / "0-the-white-square" / f"{index:05d}.png")
        assert image.mode == "L"
        assert (np.asarray(image) == square_masks()[0, index] * 255).all()
    assert calls[-1] == (6, 6)

    result = json.loads((out / "result.json").read_text())
    assert (result["width"], result["height"], result["frame_count"]) == (96, 72, 6)
    assert (result["frame_rate"], result["frame_rate_exact"]) == (12, "12/1")
    first = result["expressions"][0]
    assert (first["expression"], first["score"]) == ("the white square", 0.9)
    assert first["masks"] == "masks/0-the-white-square"
    record = first["frames"][2]
    assert (record["frame"], record["time"], record["box"]) == ("00002", 0.166667, [8, 32, 24, 48])
    assert (coco.decode(record["rle"]) == square_masks()[0, 2]).all()
    assert first["frames"][5]["box"] is None
    assert [p for p in tmp_path.rglob("*") if "unfinished" in p.name] == []


def test_the_overlay_has_the_videos_size_rate_and_sound(segmentation: Segmentation, tmp_path: Path) -> None:
    overlay = open_video(segmentation.save(tmp_path / "out") / "overlay.mp4")
    source = open_video(tmp_path / "squares.mp4")
    assert (overlay.size, overlay.fps, overlay.has_sound) == (source.size, source.fps, True)
    assert [f.time for f in overlay] == [f.time for f in source]


def test_a_folders_masks_are_named_as_its_frames(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in (2, 10):
        Image.fromarray(square_frame(index)).save(frames / f"shot {index}.png")
    video = open_video(frames)
    segmentation = Segmentation.from_masks(square_masks(2), EXPRESSIONS, video=video)
    segmentation.frame_names = [frame.name for frame in video]
    out = segmentation.save(tmp_path / "out")
    names = [p.name for p in (out / "masks" / "1-the-red-corner").iterdir()]
    assert sorted(names) == ["shot 10.png", "shot 2.png"]


def test_expressions_that_no_file_system_takes(tmp_path: Path) -> None:
    texts = ["../../etc", "犬", "x" * 500, "the dog", "the dog"]
    masks = np.zeros((5, 1, *SIZE), bool)
    out = Segmentation.from_masks(masks, texts, video=square_frame(0)[None]).save(tmp_path / "out")
    names = sorted(p.name for p in (out / "masks").iterdir())
    assert names == ["0-etc", "1-expression", "2-" + "x" * 60, "3-the-dog", "4-the-dog"]


# --- whole or not at all ----------------------------------------------------------------------------------


def test_an_earlier_result_is_kept_unless_it_may_be_replaced(segmentation: Segmentation, tmp_path: Path) -> None:
    out = segmentation.save(tmp_path / "out")
    (out / "stale").touch()
    with pytest.raises(InputError, match="exists already; choose another output or pass --overwrite"):
        segmentation.save(out)
    segmentation.save(out, overwrite=True)
    assert not (out / "stale").exists()


def test_only_results_are_ever_replaced(segmentation: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary.txt").write_text("dear")
    with pytest.raises(InputError, match="is not replaced"):
        segmentation.save(tmp_path / "home", overwrite=True)
    with pytest.raises(InputError, match="holds the video itself"):
        segmentation.save(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="cannot be made"):
        segmentation.save(tmp_path / "squares.mp4" / "out")
    assert (tmp_path / "home" / "diary.txt").read_text() == "dear"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(
    segmentation: Segmentation, tmp_path: Path, error: BaseException
) -> None:
    def fail(done: float, total: int | None) -> None:
        if done == 4:
            raise error

    out = segmentation.save(tmp_path / "out")
    before = (out / "result.json").stat().st_mtime_ns
    for place in (out, tmp_path / "new" / "deep"):
        with pytest.raises((KeyboardInterrupt, InputError)) as caught:
            segmentation.save(place, overwrite=True, progress=fail)
        if isinstance(error, OSError):
            assert "The disk is full" in str(caught.value)
    assert (out / "result.json").stat().st_mtime_ns == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "squares.mp4"]


def test_a_new_folder_has_ordinary_permissions(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out"):
        assert not (tmp_path / "out").exists()
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_may_not_be_written(segmentation: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be made"):
        segmentation.save(tmp_path / "locked" / "out")


def test_a_source_that_shrank_is_noticed(segmentation: Segmentation, tmp_path: Path) -> None:
    write_video(tmp_path / "squares.mp4", frames=3, sound="aac")
    with pytest.raises(InputError, match="has become shorter"):
        segmentation.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- drawing ----------------------------------------------------------------------------------------------


def test_exactly_the_masks_pixels_are_tinted() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    y, x = np.mgrid[:200, :300]
    mask = ((x - 150) / 60) ** 2 + ((y - 120) / 40) ** 2 < 1
    painted = Painter([" "], (200, 300)).paint(image, mask[None])  # a blank expression gets no label
    assert ((painted != image).any(axis=2) == mask).all()
    assert (image == 100).all(), "the frame given is left alone"


def test_each_expression_has_its_colour_and_its_text_inside_the_picture() -> None:
    size = (240, 320)
    image = np.zeros((*size, 3), np.uint8)
    texts = [f"thing number {index} of a row of seven" for index in range(7)]
    masks = np.zeros((7, *size), bool)
    for index in range(7):
        masks[index, 200:230, 10 + 44 * index : 40 + 44 * index] = True
    painted = Painter(texts, size).paint(image, masks)
    for index, colour in enumerate(PALETTE):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        solid = (painted == rgb).all(axis=2)
        assert solid[masks[index]].any(), "contour"
        outside = solid & ~masks.any(axis=0)
        assert outside.sum() > 500, "label"


def test_a_look_has_other_colours_or_none(segmentation: Segmentation, tmp_path: Path) -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 5:25, 5:25], masks[1, 30:55, 40:75] = True, True
    painted = Painter(["", ""], (60, 80), Look(["#FF0080", None], opacity=1)).paint(image, masks)
    assert (painted[masks[0]] == (0xFF, 0, 0x80)).all()
    assert (painted[~masks[0]] == 100).all()
    only_contour = Painter(["", ""], (60, 80), Look(opacity=0)).paint(image, masks)
    assert (only_contour[45, 60] == 100).all()

    look = Look(["#000000"] * len(segmentation.expressions))
    saved = json.loads((segmentation.save(tmp_path / "black", look=look) / "result.json").read_text())
    assert {entry["colour"] for entry in saved["expressions"]} == {"#000000"}


@pytest.mark.parametrize(
    ("look", "sentence"),
    [
        ({"colours": ["red"]}, "'red' is no colour; write it like #56B4E9"),
        ({"colours": [7]}, "'7' is no colour"),
        ({"opacity": 45}, "An opacity of 45 is not possible; give 0 to 1"),
        ({"opacity": float("nan")}, "An opacity of nan"),
        ({"colours": ["#000000"] * 9}, "9 colours were given for"),
    ],
)
def test_looks_that_are_none(segmentation: Segmentation, tmp_path: Path, look: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        segmentation.save(tmp_path / "out", look=Look(**look))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("corner", [(0, 0), (0, 290), (190, 0), (190, 290), (0, None)])
def test_labels_stay_within_the_picture(corner: tuple[int, int | None]) -> None:
    size = (200, 300)
    mask = np.zeros(size, bool)
    y, x = corner
    mask[y : y + 10, slice(x, x + 10) if x is not None else slice(None)] = True
    text = "a sentence that is much too long to be written beside anything in a picture of this size"
    painter = Painter([text], size)
    label = painter._labels[0]
    assert label is not None
    assert label.width <= 0.55 * size[1]
    painted = painter.paint(np.zeros((*size, 3), np.uint8), mask[None])
    written = (painted > 0).any(axis=2) & ~mask
    assert written.sum() >= 0.5 * label.width * label.height


@pytest.mark.parametrize("size", [(1, 1), (8, 200), (24, 24), (1200, 40)])
def test_pictures_too_small_for_text(size: tuple[int, int]) -> None:
    masks = np.ones((1, *size), bool)
    assert Painter(["the dog"], size).paint(np.zeros((*size, 3), np.uint8), masks).shape == (*size, 3)


def test_reading_back_an_overlay_shows_the_mask_in_place(segmentation: Segmentation, tmp_path: Path) -> None:
    overlay = read_video(segmentation.save(tmp_path / "out") / "overlay.mp4")
    source = read_video(tmp_path / "squares.mp4")
    change = np.abs(overlay.astype(int) - source).sum(axis=3)
    for index in range(5):
        inside = square_masks()[0, index]
        assert change[index][inside].mean() > 60
