"""Generated layouts, read step by step with general tools as public readers do: the same frames, masks and boxes."""

import csv
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from generated_layouts import write_layout
from PIL import Image
from pycocotools import mask as coco

from sgmg.data.benchmarks import open_benchmark
from sgmg.data.sample import Sample

Found = tuple[str, np.ndarray, np.ndarray]
"""A sentence, frames (T, H, W, 3) and masks (T, H, W)."""


def pictures(paths: list[Path]) -> np.ndarray:
    return np.stack([np.array(Image.open(path).convert("RGB")) for path in paths])


def box(mask: np.ndarray) -> list[int]:
    """x1 y1 x2 y2 of a mask, of the first and last rows and columns that it has; zeros where it is empty."""
    ys, xs = np.nonzero(mask)
    return [xs.min(), ys.min(), xs.max(), ys.max()] if len(xs) else [0, 0, 0, 0]


def compare(sample: Sample, found: Found, tolerance: int = 0) -> None:
    sentence, frames, masks = found
    assert sample.expression == sentence
    own = sample.frames.permute(0, 2, 3, 1).numpy()
    assert own.shape == frames.shape
    assert np.abs(own.astype(int) - frames).mean() <= tolerance / 2
    if not tolerance:
        np.testing.assert_array_equal(own, frames)
    np.testing.assert_array_equal(sample.masks.numpy(), masks)
    assert sample.boxes.tolist() == [box(mask) for mask in masks]


def video_expressions(root: Path, split: str) -> Iterator[Found]:
    """Ref-YouTube-VOS: the list, JPEG frames, and the palette indices of PNG files."""
    videos = json.loads((root / "meta_expressions" / split / "meta_expressions.json").read_text())["videos"]
    for name, video in videos.items():
        frames = pictures([root / split / "JPEGImages" / name / f"{frame}.jpg" for frame in video["frames"]])
        images = [Image.open(root / split / "Annotations" / name / f"{frame}.png") for frame in video["frames"]]
        assert {image.mode for image in images} == {"P"}
        labels = np.stack([np.array(image) for image in images])
        for expression in video["expressions"].values():
            yield expression["exp"], frames, labels == int(expression["obj_id"])


def mevis_expressions(root: Path, split: str) -> Iterator[Found]:
    """MeViS: unions of the run lengths of an expression's annotations."""
    folder = root / split
    run_lengths = json.loads((folder / "mask_dict.json").read_text())
    for name, video in json.loads((folder / "meta_expressions.json").read_text())["videos"].items():
        frames = pictures([folder / "JPEGImages" / name / f"{frame}.jpg" for frame in video["frames"]])
        for expression in video["expressions"].values():
            masks = np.zeros(frames.shape[:3], bool)
            for annotation in expression["anno_id"]:
                for mask, runs in zip(masks, run_lengths[str(annotation)], strict=True):
                    mask |= False if runs is None else coco.decode(runs).astype(bool)
            yield expression["exp"], frames, masks


def jhmdb_expressions(root: Path) -> Iterator[Found]:
    """JHMDB-Sentences: the evaluated frame alone, and its slice of the .mat file."""
    scipy_io = pytest.importorskip("scipy.io")
    for _, frame, masks, _, sentence in json.loads((root / "jhmdb_sentences_samples_metadata.json").read_text()):
        frame, masks = (root / path.removeprefix("./jhmdb_sentences/") for path in (frame, masks))
        mask = scipy_io.loadmat(masks)["part_mask"].transpose(2, 0, 1)[int(frame.stem) - 1]
        yield sentence, pictures([frame]), mask[None] > 0


def refcoco_expressions(root: Path, name: str) -> Iterator[Found]:
    """RefCOCO: each sentence of each reference, with pycocotools' polygons."""
    instances = json.loads((root / name / "instances.json").read_text())
    images = {image["id"]: image for image in instances["images"]}
    annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
    for reference in pickle.loads(next((root / name).glob("refs(*).p")).read_bytes()):
        if reference["split"] == "train":
            image, annotation = images[reference["image_id"]], annotations[reference["ann_id"]]
            runs = coco.frPyObjects(annotation["segmentation"], image["height"], image["width"])
            mask = coco.decode(coco.merge(runs)).astype(bool)
            x, y, width, height = annotation["bbox"]
            assert box(mask) == pytest.approx([x, y, x + width, y + height], abs=1)
            for sentence in reference["sentences"]:
                yield sentence["sent"], pictures([root / "train2014" / image["file_name"]]), mask[None]


READERS = {
    "ref-youtube-vos": (lambda root: video_expressions(root, "train"), "train", {}),
    "ref-davis17": (lambda root: video_expressions(root, "train"), "train", {}),
    "mevis": (lambda root: mevis_expressions(root, "train"), "train", {}),
    "jhmdb": (jhmdb_expressions, "test", {"window": 1}),
    "refcoco": (lambda root: refcoco_expressions(root, "refcoco"), "train", {}),
    "refcoco+": (lambda root: refcoco_expressions(root, "refcoco+"), "train", {}),
    "refcocog": (lambda root: refcoco_expressions(root, "refcocog"), "train", {}),
}


@pytest.mark.parametrize("layout", READERS)
def test_general_tools_read_the_same(tmp_path: Path, layout: str) -> None:
    reader, split, options = READERS[layout]
    root = tmp_path / "data"
    write_layout(root, layout, 4)
    data, found = open_benchmark(layout, root, split, **options), list(reader(root))
    assert len(data) == len(found) > 0
    for index, entry in enumerate(found):
        compare(data[index], entry)


@pytest.mark.parametrize("folder", ["CLIPS320", "clips320H"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_opencv_and_h5py_read_the_same_of_a2d(tmp_path: Path, folder: str, split: str) -> None:
    cv2, h5py = pytest.importorskip("cv2", exc_type=ImportError), pytest.importorskip("h5py")
    root = tmp_path / "data"
    write_layout(root, "a2d", 4)
    data = open_benchmark("a2d", root, split, window=1)
    subsets = {row[0]: row[8] for row in csv.reader((root / "Release" / "videoset.csv").open())}
    rows = json.loads((root / f"a2d_sentences_single_frame_{split}_annotations.json").read_text())
    assert len(rows) == len(data) > 0
    for index, (sentence, name, frame, instance) in enumerate(rows):
        assert subsets[name] == {"train": "0", "test": "1"}[split]
        video = cv2.VideoCapture(str(root / "Release" / folder / f"{name}.mp4"))
        for _ in range(frame):
            there, image = video.read()
            assert there
        path = root / "text_annotations" / "a2d_annotation_with_instances" / name / f"{frame:05d}.h5"
        with h5py.File(path) as file:
            place, several = list(file["instance"]).index(instance), len(file["instance"]) > 1
            mask = (file["reMask"][place] if several else file["reMask"][()]).T > 0
            assert file["reBBox"][:, place].tolist() == box(mask)
            actor, action = divmod(int(file["id"][0, place]), 10)
        assert actor in range(1, 8)
        assert action in range(1, 10)
        # Two builds of FFmpeg turn the same YUV into RGB with other rounding.
        compare(data[index], (sentence, image[None, ..., ::-1], mask[None]), tolerance=4)


def test_trackeval_reads_the_same_masks_of_raw_davis(tmp_path: Path) -> None:
    datasets = pytest.importorskip("trackeval.datasets", exc_type=ImportError)
    root = tmp_path / "data"
    write_layout(root, "ref-davis17-raw", 3)
    davis = root / "DAVIS"
    reader = datasets.DAVIS(
        {
            "GT_FOLDER": str(davis / "Annotations_unsupervised" / "480p"),
            "SEQMAP_FILE": str(davis / "ImageSets" / "2017" / "val.txt"),
            "TRACKERS_FOLDER": str(davis),  # it wants results too: the annotations themselves
            "TRACKERS_TO_EVAL": ["Annotations_unsupervised"],
            "TRACKER_SUB_FOLDER": "480p",
            "PRINT_CONFIG": False,
        }
    )
    data = open_benchmark("ref-davis17", root, "valid")
    assert reader.seq_list == [video.name for video in data.videos]
    for video in data.videos:
        raw = reader.get_raw_seq_data("Annotations_unsupervised", video.name)
        assert raw["num_timesteps"] == len(video.frames)
        folder = davis / "JPEGImages" / "480p" / video.name
        frames = pictures(sorted(folder.glob("*.jpg")))
        for expression in video.expressions:
            (object_id,) = expression.object_ids
            masks = np.zeros(frames.shape[:3], bool)
            for mask, ids, runs in zip(masks, raw["gt_ids"], raw["gt_dets"], strict=True):
                if object_id in ids:
                    mask[:] = coco.decode(runs[list(ids).index(object_id)])
            compare(data.sample(video, expression), (expression.text, frames, masks))
