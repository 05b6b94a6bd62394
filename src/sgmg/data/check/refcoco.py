"""Checks of RefCOCO, RefCOCO+ and RefCOCOg."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from sgmg.data.benchmarks import Benchmark
from sgmg.data.check.report import Report
from sgmg.data.check.task import Task
from sgmg.data.images import image_size
from sgmg.data.pickles import load_plain

GET_IMAGES = "unpack train2014 of COCO anew"
MEND_LIST = "get the lists of the dataset anew"


def splits(benchmark: Benchmark, root: Path) -> list[str]:
    """Those that the lists hold."""
    folder = root / benchmark.name
    raw = sorted(folder.glob("refs(*).p"))
    if raw:
        references: Any = load_plain(raw[-1])
        rows = references if isinstance(references, list) else []
        held = {row.get("split") for row in rows if isinstance(row, dict)}
        return [split for split in benchmark.splits if split in held]
    return [split for split in benchmark.splits if (folder / f"instances_{benchmark.name}_{split}.json").is_file()]


def check(task: Task, split: str, report: Report) -> None:
    """Check that every image is there with the size that the list says, and that masks can be decoded."""
    data = task.benchmark.open(task.root, split)
    images: dict[str, list[Any]] = defaultdict(list)
    for entry in data.entries:
        images[entry.file_name].append(entry)
    report.count(split, "images", len(images))
    report.count(split, "sentences", len(data), task.benchmark.published.get(split, {}).get("sentences", ()))
    for name, entries in task.progress(images.items(), split):
        path = data.images_folder / name
        if not path.is_file():
            report.problem("missing images", path, GET_IMAGES)
            continue
        with report.catching("images that cannot be read", GET_IMAGES):
            size = image_size(path)
            if size != entries[0].size:
                report.problem(
                    "images of another size than their masks",
                    f"{path} is {size[1]}x{size[0]}, the list says {entries[0].size[1]}x{entries[0].size[0]}",
                    GET_IMAGES,
                )
                continue
        if task.deep:
            _check_pixels(data, entries, report)


def _check_pixels(data: Any, entries: list[Any], report: Report) -> None:
    for entry in entries:
        with report.catching("samples that cannot be read", f"{GET_IMAGES}; {MEND_LIST}"):
            if not data.sample(entry).masks.any():
                report.problem("objects without a mask", entry.where, MEND_LIST)
