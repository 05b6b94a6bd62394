"""What makes sgmg pleasant in a notebook and harmless in somebody else's program."""

import logging
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from videos import square_frame, write_video

from sgmg import Cancelled, Segmentation, Segmenter, cancellable
from sgmg.errors import InputError
from sgmg.model import SgMg
from sgmg.video import open_video

SIZE = (72, 96)


@pytest.fixture
def segmentation() -> Segmentation:
    masks = np.zeros((2, 8, *SIZE), bool)
    masks[0, :, 32:48, 10:40] = True
    masks[1, 4:, :16, :16] = True
    scores = np.stack([np.linspace(0, 1, 8), np.full(8, 0.25)])
    frames = np.stack([square_frame(index) for index in range(8)])
    return Segmentation.from_masks(masks, ["the square", "<script>alert('!')</script>"], scores, frames)


# --- notebooks --------------------------------------------------------------------------------------------


def test_a_result_shows_itself(segmentation: Segmentation) -> None:
    html = segmentation._repr_html_()
    root = ElementTree.fromstring(html.replace("<img ", "<img_ ").replace('"><figcaption', '"/><figcaption'))
    pictures = [element.get("src") for element in root.iter("img_")]
    assert len(pictures) == 6
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures), "nothing is fetched"
    assert "<script>" not in html
    assert [cell.text for cell in root.iter("td") if cell.text] == [
        "the square",
        "0.50",
        "<script>alert('!')</script>",
        "0.25",
    ]
    rising, level = (
        [float(point.split(",")[1]) for point in line.get("points").split()] for line in root.iter("polyline")
    )
    assert rising == sorted(rising, reverse=True)
    assert len(set(level)) == 1


@pytest.mark.parametrize("length", [1, 2, 500])
def test_a_short_and_a_long_result_show_themselves(length: int) -> None:
    masks = np.zeros((1, length, 4, 6), bool)
    html = Segmentation.from_masks(masks, ["nothing"])._repr_html_()
    assert html.count("<img") == min(length, 6)
    assert len(html) < 50_000


def test_a_file_shows_the_frames_that_a_strip_needs(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "in.mp4", frames=12))
    result = Segmentation.from_masks(np.zeros((1, 12, *SIZE), bool), ["nothing"], video=video)
    shown = result._repr_html_()
    (tmp_path / "in.mp4").unlink()
    gone = result._repr_html_()
    assert shown.count("<img") == gone.count("<img") == 6
    assert shown != gone, "grey where the frames cannot be had any more"


# --- supervision ------------------------------------------------------------------------------------------


def test_supervision_annotates_with_our_detections(segmentation: Segmentation) -> None:
    supervision = pytest.importorskip("supervision")
    first, last = segmentation.to_detections(0), segmentation.to_detections(7)
    assert first["class_name"].tolist() == ["the square"], "what is not seen is not detected"
    assert last["class_name"].tolist() == segmentation.expressions
    assert last.xyxy.tolist() == segmentation.boxes[:, 7].tolist()
    assert last.confidence == pytest.approx([1, 0.25])
    assert (last.mask == segmentation.masks_of(7)).all()
    assert last.tracker_id.tolist() == last.class_id.tolist() == [0, 1]
    painted = supervision.MaskAnnotator(opacity=1).annotate(square_frame(7), last)
    assert ((painted != square_frame(7)).any(axis=2) <= segmentation.masks_of(7).any(axis=0)).all()


def test_a_frame_without_objects_has_no_detections() -> None:
    pytest.importorskip("supervision")
    nothing = Segmentation.from_masks(np.zeros((2, 1, *SIZE), bool), ["a", "b"]).to_detections(0)
    assert len(nothing) == 0
    assert nothing.mask.shape == (0, *SIZE)


def test_without_supervision_it_is_said_how_to_get_it(
    segmentation: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match=r"pip install sgmg\[supervision\]"):
        segmentation.to_detections(0)


# --- stopping ---------------------------------------------------------------------------------------------


def test_another_thread_stops_a_segmentation(tiny_model: SgMg) -> None:
    stop, reports = threading.Event(), []

    def show(done: float, total: int | None) -> None:
        reports.append(done)
        if done >= 2:
            stop.set()

    frames = np.stack([square_frame(index) for index in range(8)])
    with pytest.raises(Cancelled):
        Segmenter(tiny_model, "cpu")(frames, "the dog", clip_length=1, progress=cancellable(stop, show))
    assert 2 <= max(reports) < 4
    stop.clear()
    assert len(Segmenter(tiny_model, "cpu")(frames[:2], "the dog", progress=cancellable(stop))) == 2


def test_stopping_a_saving_leaves_nothing(segmentation: Segmentation, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled):
        segmentation.save(
            tmp_path / "out",
            format=["overlay", "cutout-webm", "cutout-prores", "cvat", "coco", "npz"],
            progress=cancellable(stop, lambda done, total: stop.set() if done == 3 else None),
        )
    assert list(tmp_path.iterdir()) == []


# --- being a guest ----------------------------------------------------------------------------------------


def test_importing_changes_nothing_of_anybody_elses() -> None:
    code = """
import logging, os, random, signal, sys, warnings
import numpy as np, torch, torchvision, transformers, timm, PIL.Image, av  # what these change is their own

def state():
    return {
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "filters of warnings": list(warnings.filters),
        "show a warning": warnings.showwarning,
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        "level of logging": logging.getLogger().level,
        "handlers of logging": (list(logging.getLogger().handlers), list(logging.getLogger("sgmg").handlers)),
        "random numbers": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "errors of numpy": np.geterr(),
        "torch": (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(),
                  torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
                  torch.are_deterministic_algorithms_enabled()),
        "largest picture": PIL.Image.MAX_IMAGE_PIXELS,
        "logging of transformers": transformers.logging.get_verbosity(),
        "logging of FFmpeg": av.logging.get_level(),
        "recursion": sys.getrecursionlimit(),
        "exceptions": sys.excepthook,
    }

before = state()
import sgmg.segmenter, sgmg.segmentation, sgmg.result_file, sgmg.notebook, sgmg.progress, sgmg.video
import sgmg.formats.video, sgmg.formats.images, sgmg.formats.annotations
from sgmg import *
after = state()
assert before == after, [name for name in before if before[name] != after[name]]
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_is_done_is_logged_and_nothing_printed(
    tiny_model: SgMg, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    capsys.readouterr()
    with caplog.at_level(logging.INFO, logger="sgmg"):
        segmenter = Segmenter.from_pretrained(tmp_path / "model", device="cpu")
        segmenter(square_frame(0)[None], "the dog").save(tmp_path / "out", format=["masks", "coco"])
    assert [record.getMessage() for record in caplog.records if record.name.startswith("sgmg")] == [
        f"loaded {tmp_path / 'model'} for cpu in float32",
        f"saved 1 frames to {tmp_path / 'out'} as masks, coco",
    ]
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


def test_the_package_says_that_it_is_typed() -> None:
    import sgmg

    assert (Path(sgmg.__file__).parent / "py.typed").is_file()
