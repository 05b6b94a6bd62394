"""Checks of benchmarks with folders of frames: Ref-YouTube-VOS, Ref-DAVIS17 and MeViS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sgmg.data.benchmarks import Benchmark
from sgmg.data.check.report import Report
from sgmg.data.check.task import Task
from sgmg.data.images import image_size, read_frames, read_labels
from sgmg.data.mevis import MeViS
from sgmg.data.video_data import FRAME_SUFFIXES, FrameFolders, LabelledFrames, Video

UNPACK_FRAMES = "unpack the frames of the split anew"
UNPACK_MASKS = "unpack the annotations of the split anew"
#: Splits whose masks are public.
ANNOTATED = {"ref-youtube-vos": ("train",), "ref-davis17": ("train", "valid"), "mevis": ("train", "valid_u")}


def splits(benchmark: Benchmark, root: Path) -> list[str]:
    """The splits of which a folder holds anything, published ones first."""
    lists = root / "meta_expressions"
    if benchmark.name == "ref-davis17" and not lists.is_dir():
        return list(benchmark.splits)
    folders = {path.name for path in (lists if lists.is_dir() else root).iterdir() if path.is_dir()}
    if benchmark.name == "mevis":
        folders = {name for name in folders if any((root / name).glob("*.json")) or name in benchmark.splits}
    own = sorted(folders - set(benchmark.splits)) if benchmark.own_splits else []
    return [name for name in (*benchmark.splits, *own) if name in folders or (root / name).is_dir()]


def check(task: Task, split: str, report: Report) -> None:
    """Check a split: everything that its lists name must be there and fit together."""
    data: FrameFolders = task.benchmark.open(task.root, split)
    published = task.benchmark.published.get(split, {})
    report.count(split, "videos", len(data.videos), published.get("videos", ()))
    report.count(split, "expressions", sum(len(video.expressions) for video in data.videos))
    report.count(split, "frames", sum(len(video.frames) for video in data.videos))
    if not data.annotated and split in ANNOTATED[task.benchmark.name]:
        report.problem("no masks", f"{split} has none", UNPACK_MASKS)
    for video in task.progress(data.videos, split):
        _check_video(data, video, report, task.deep)


def _check_video(data: FrameFolders, video: Video, report: Report, deep: bool) -> None:
    if not video.expressions:
        report.warning("videos without expressions", f"{data.list_file}: {video.name}", "complete the list")
    size = _check_frames(data.frames_folder / video.name, video, report, deep)
    if not data.annotated or size is None:
        return
    if isinstance(data, LabelledFrames):
        seen = _check_annotations(data.annotations_folder / video.name, video, size, report, deep)
        _check_objects(data, video, seen, report)
    elif isinstance(data, MeViS):
        _check_masks(data, video, size, report, deep)


def _check_frames(folder: Path, video: Video, report: Report, deep: bool) -> tuple[int, int] | None:
    """Height and width of a video's frames, None where none can be read."""
    if not folder.is_dir():
        report.problem("missing folders of frames", folder, UNPACK_FRAMES)
        return None
    there = {path.stem: path for path in folder.iterdir() if path.suffix in FRAME_SUFFIXES}
    size: tuple[int, int] | None = None
    for name in video.frames:
        if name not in there:
            report.problem("missing frames", folder / f"{name}.jpg", UNPACK_FRAMES)
            continue
        with report.catching("frames that cannot be read", UNPACK_FRAMES):
            own = image_size(there[name])
            size = size or own
            if own != size:
                report.problem(
                    "frames of another size than the first",
                    f"{there[name]} is {own[1]}x{own[0]}, the first is {size[1]}x{size[0]}",
                    "give all frames of a video one size",
                )
            if deep:
                read_frames([there[name]])
    return size


def _check_annotations(
    folder: Path, video: Video, size: tuple[int, int], report: Report, deep: bool
) -> set[int] | None:
    """Ids of the objects in a video's annotations; None where that is not known."""
    if not folder.is_dir():
        report.problem("missing folders of annotations", folder, UNPACK_MASKS)
        return None
    there = {path.stem: path for path in folder.glob("*.png")}
    seen: set[int] = set()
    for name in video.frames:
        if name not in there:
            report.problem("missing annotations", folder / f"{name}.png", UNPACK_MASKS)
            continue
        with report.catching("annotations that cannot be read", UNPACK_MASKS):
            own = image_size(there[name])
            if own != size:
                report.problem(
                    "annotations whose size is not that of their frame",
                    f"{there[name]} is {own[1]}x{own[0]}, the frames are {size[1]}x{size[0]}",
                    "take frames and annotations of the same resolution",
                )
            if deep:
                seen |= set(np.unique(read_labels([there[name]])).tolist())
    return seen if deep else None


def _check_objects(data: FrameFolders, video: Video, seen: set[int] | None, report: Report) -> None:
    """Each object that is asked for must be known, and seen in a frame (of generated data: unless it is absent)."""
    for expression in video.expressions:
        place = f'{data.list_file}: {video.name}, expression "{expression.id}"'
        if expression.object_ids is None:
            report.problem("expressions without an object", place, 'give the list\'s expressions their "obj_id"')
            continue
        for object_id in expression.object_ids:
            if video.categories and object_id not in video.categories:
                report.problem(
                    "objects that the list of objects does not have",
                    f"{place}: object {object_id}",
                    "take meta.json (davis_semantics.json) and the expressions of the same release",
                )
            if seen is not None and object_id not in seen and expression.kind != "absent":
                report.problem("objects without a mask", f"{place}: object {object_id} is in no frame", UNPACK_MASKS)


def _check_masks(data: MeViS, video: Video, size: tuple[int, int], report: Report, deep: bool) -> None:
    for expression in video.expressions:
        place = f'{data.masks_file}: {video.name}, expression "{expression.id}"'
        for height, width in data.mask_sizes(video, expression) - {size}:
            report.problem(
                "masks whose size is not that of their frame",
                f"{place}: {width}x{height}, the frames are {size[1]}x{size[0]}",
                "take frames and masks of the same release",
            )
        if not deep:
            continue
        with report.catching("masks that cannot be read", UNPACK_MASKS):
            if expression.object_ids and not data.masks(video, expression).any():
                report.problem("objects without a mask", f"{place} is in no frame", UNPACK_MASKS)
