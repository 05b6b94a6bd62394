"""Checks of JHMDB-Sentences."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sgmg.data.check.report import Report
from sgmg.data.check.task import Task
from sgmg.data.images import image_size
from sgmg.data.jhmdb import JHMDBEntry, JHMDBSentences, masks_shape, require_fit
from sgmg.errors import InputError

EVALUATED = 3
UNPACK_FRAMES = "unpack Rename_Images anew"
UNPACK_MASKS = "unpack puppet_mask anew"


def splits(root: Path) -> list[str]:
    """There is one."""
    return ["test"]


def check(task: Task, split: str, report: Report) -> None:
    """Check that frames and masks of every sample are there and fit together."""
    data = JHMDBSentences(task.root, window=1)
    videos: dict[str, list[JHMDBEntry]] = defaultdict(list)
    for entry in data.entries:
        videos[entry.video].append(entry)
    counts = {
        "videos": len(videos),
        "sentences": len({(entry.video, entry.query) for entry in data.entries}),
        "samples": len(data),
    }
    for what, found in counts.items():
        report.count(split, what, found, task.benchmark.published[split][what])
    for video, entries in task.progress(videos.items(), split):
        if len({entry.frame for entry in entries}) != EVALUATED:
            report.warning(
                f"videos with other than {EVALUATED} evaluated frames",
                f"{video}: {len(entries)}",
                "scores compare with published ones only where the list is the published one",
            )
        _check_video(data, entries, report, task.deep)


def _check_video(data: JHMDBSentences, entries: list[JHMDBEntry], report: Report, deep: bool) -> None:
    first = entries[0]
    for number in range(1, first.total + 1):
        if not data.frame_path(first, number).is_file():
            report.problem("missing frames", data.frame_path(first, number), UNPACK_FRAMES)
    path = data.mask_path(first)
    try:
        shape = masks_shape(path)
    except InputError as error:
        report.problem("masks that cannot be read" if path.is_file() else "missing masks", error, UNPACK_MASKS)
        return
    for entry in entries:
        frame = data.frame_path(entry, entry.frame)
        if not frame.is_file():
            continue
        try:
            size = image_size(frame)
        except InputError as error:
            report.problem("frames that cannot be read", error, UNPACK_FRAMES)
            continue
        try:
            require_fit(path, shape, size, entry.frame)
        except InputError as error:
            report.problem("masks that do not fit to their frames", error, f"{UNPACK_FRAMES}; {UNPACK_MASKS}")
            continue
        if deep:
            with report.catching("samples that cannot be read", f"{UNPACK_FRAMES}; {UNPACK_MASKS}"):
                if not data.sample(entry).masks.any():
                    report.problem("objects without a mask", f"{path}: frame {entry.frame}", UNPACK_MASKS)
