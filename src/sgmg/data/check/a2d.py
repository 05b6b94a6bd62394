"""Checks of A2D-Sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from sgmg.data import a2d
from sgmg.data.check.report import Report
from sgmg.data.check.task import Task
from sgmg.errors import InputError
from sgmg.video import VideoFrames

MEND_LIST = "unpack text_annotations and Release anew, or make the list anew"
GET_VIDEO = "get the videos of the release anew"
GET_ANNOTATIONS = "unpack a2d_annotation_with_instances anew"


def splits(root: Path) -> list[str]:
    """Those that there are."""
    return list(a2d.SUBSETS)


def check_lists(task: Task, report: Report) -> None:
    """Check what both splits share, and count it."""
    published = task.benchmark.published[""]
    with report.catching("missing videos", GET_VIDEO):
        a2d.videos_folder(task.root)
    cached = [split for split in a2d.SUBSETS if a2d.cached_list(task.root, split).is_file()]
    raw = (a2d.sentences_file(task.root), a2d.videoset_file(task.root))
    if len(cached) == len(a2d.SUBSETS) and not all(path.is_file() for path in raw):
        return  # they are not needed
    missed = a2d.read_missed(task.root)
    if not a2d.missed_file(task.root).is_file():
        report.warning("missing lists", f"{a2d.missed_file(task.root)}, of videos without annotations", MEND_LIST)
    with report.catching("broken lists", MEND_LIST):
        subsets = a2d.read_subsets(task.root)
        report.count("", "videos", len(subsets), published["videos"])
        sentences = a2d.read_sentences(task.root)
        report.count("", "sentences", len(sentences), published["sentences"])
        for video in sorted({video for video, _, _ in sentences} - set(subsets) - missed):
            report.problem("videos without a subset", f"{video} is not in Release/videoset.csv", MEND_LIST)


def check(task: Task, split: str, report: Report) -> None:
    """Check a split: videos, annotations, and that each sentence has masks."""
    wanted = _wanted(task, split, report)
    report.count(split, "videos with sentences", len(wanted))
    try:
        videos = a2d.videos_folder(task.root)
    except InputError:  # reported with the lists
        return
    samples = 0
    for video, asked in task.progress(wanted.items(), split):
        samples += _check_video(task, videos / f"{video}.mp4", asked, report)
    report.count(split, "samples", samples)


_Asked = Counter[tuple[int, int | None]]  # sentences on an instance, and on a frame where the list says it


def _wanted(task: Task, split: str, report: Report) -> dict[str, _Asked]:
    """Instances that are asked for, by video."""
    wanted: dict[str, _Asked] = defaultdict(Counter)
    with report.catching("broken lists", MEND_LIST):
        if a2d.cached_list(task.root, split).is_file():
            for entry in a2d.A2DSentences(task.root, split).entries:
                wanted[entry.video][entry.instance, entry.frame] += 1
            return wanted
    try:
        subsets, missed = a2d.read_subsets(task.root), a2d.read_missed(task.root)
        for video, instance, _ in a2d.read_sentences(task.root):
            if subsets.get(video) == a2d.SUBSETS[split] and video not in missed:
                wanted[video][instance, None] += 1
    except InputError:  # reported with the lists
        pass
    return wanted


def _check_video(task: Task, path: Path, asked: _Asked, report: Report) -> int:
    """Check a video with its annotations; how many samples it makes."""
    total, size = _check_pixels(path, report, task.deep)
    try:
        annotated = a2d.annotated_frames(task.root, path.stem)
    except InputError as error:
        report.problem("missing annotations", error, GET_ANNOTATIONS)
        return 0
    for number in sorted({frame for _, frame in asked if frame is not None} - {number for number, _ in annotated}):
        report.problem("missing annotations", annotated[0][1].with_name(f"{number:05d}.h5"), GET_ANNOTATIONS)
    held: set[tuple[int, int]] = set()
    broken = False
    for number, file in annotated:
        if total is not None and number > total:
            report.problem("frames after the end of the video", f"{file}: {path} has {total} frames", GET_VIDEO)
        try:
            held |= {(instance, number) for instance in _check_annotation(file, size, report, task.deep)}
        except InputError as error:
            broken = True
            report.problem("annotations that cannot be read", error, GET_ANNOTATIONS)
    samples = 0
    for instance, frame in sorted(asked, key=str):
        own = sum(instance == other and frame in (None, number) for other, number in held)
        samples += own * asked[instance, frame]
        if not own and not broken:
            where = "any of its frames" if frame is None else f"frame {frame}"
            report.problem(
                "objects without a mask",
                f"{annotated[0][1].parent}: {where} has no instance {instance}",
                f"{GET_ANNOTATIONS}, and the list of sentences with it",
            )
    return samples


def _check_pixels(path: Path, report: Report, deep: bool) -> tuple[int | None, tuple[int, int] | None]:
    """Number and size of a video's frames, as far as they can be told."""
    if not path.is_file():
        report.problem("missing videos", path, GET_VIDEO)
        return None, None
    with report.catching("videos that cannot be read", GET_VIDEO), VideoFrames(path) as video:
        if deep:
            for first in range(0, len(video), 64):
                video.read(range(first, min(first + 64, len(video))))
        return len(video), video.size
    return None, None


def _check_annotation(path: Path, size: tuple[int, int] | None, report: Report, deep: bool) -> list[int]:
    """The instances of an annotated frame."""
    with a2d.open_annotation(path) as annotation:
        if size is not None and annotation.size != size:
            place = f"{path}: {annotation.size[1]}x{annotation.size[0]}, the video is {size[1]}x{size[0]}"
            fix = "take the videos that the annotations were made for, CLIPS320"
            try:
                annotation.require_size(size)
            except InputError:
                report.problem("masks whose size is not that of their frame", place, fix)
            else:
                report.warning("masks a pixel smaller or larger than their frame", place, "none: they are fitted")
        if deep:
            for instance in annotation.instances:
                if not annotation.mask(instance).any():
                    report.warning("empty masks", f"{path}: instance {instance}", GET_ANNOTATIONS)
        return annotation.instances
