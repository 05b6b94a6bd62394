"""The benchmarks by name: which reader each has, which splits, and how much of what is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from sgmg.data.sample import Sample
from sgmg.errors import InputError


class Samples(Protocol):
    """What every reader is: a sequence of samples. Those of video benchmarks are a `VideoData` too."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that can be read.

    Attributes:
        name: as commands have it.
        title: as people write it.
        reader: module of `sgmg.data` and class.
        splits: the published ones.
        default_split: the one that commands take where none is named.
        options: arguments that the reader needs beside the root and the split.
        takes_split: whether the reader has a choice of splits.
        own_splits: whether it reads splits of other names, too.
        published: by split, how much there is of what; "" stands for all splits together. More than one number
            where publications differ.
    """

    name: str
    title: str
    reader: tuple[str, str]
    splits: tuple[str, ...]
    default_split: str
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_split: bool = True
    own_splits: bool = False
    published: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)

    def require_split(self, split: str) -> None:
        """Check that the benchmark may have a split of this name.

        Raises:
            InputError: it has none.
        """
        if split not in self.splits and not self.own_splits:
            raise InputError(f"{self.title} has no split '{split}': use {' or '.join(self.splits)}.")

    def open(self, root: str | Path, split: str | None = None, **options: Any) -> Any:
        """The reader of a split, by default of `default_split`.

        Args:
            root: the dataset's folder.
            split: one of `splits`, or another where `own_splits`.
            options: further arguments of the reader, such as ``window`` of A2D-Sentences.

        Raises:
            InputError: there is no such split, or what the reader needs is missing or broken.
        """
        split = self.default_split if split is None else split
        self.require_split(split)
        module, reader = self.reader
        chosen = {**self.options, **options} | ({"split": split} if self.takes_split else {})
        return getattr(import_module(f"sgmg.data.{module}"), reader)(root, **chosen)


def _refcoco(name: str, title: str, splits: tuple[str, ...], sentences: tuple[int, ...]) -> Benchmark:
    published = {split: {"sentences": (count,)} for split, count in zip(splits, sentences, strict=True)}
    return Benchmark(name, title, ("refcoco", "RefCOCO"), splits, "val", options={"name": name}, published=published)


#: By name, in the order of the documentation.
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "ref-youtube-vos",
            "Ref-YouTube-VOS",
            ("ref_youtube_vos", "RefYouTubeVOS"),
            ("train", "valid", "test"),
            "valid",
            own_splits=True,
            published={"train": {"videos": (3471,)}, "valid": {"videos": (202,)}},
        ),
        Benchmark(
            "ref-davis17",
            "Ref-DAVIS17",
            ("ref_davis", "RefDAVIS17"),
            ("train", "valid"),
            "valid",
            published={"train": {"videos": (60,)}, "valid": {"videos": (30,)}},
        ),
        Benchmark(
            "a2d",
            "A2D-Sentences",
            ("a2d", "A2DSentences"),
            ("train", "test"),
            "test",
            # The published file has 6,655 rows, of which "1 (copy)" is not read; the paper says 6,656.
            published={"": {"videos": (3782,), "sentences": (6654,)}},
        ),
        Benchmark(
            "jhmdb",
            "JHMDB-Sentences",
            ("jhmdb", "JHMDBSentences"),
            ("test",),
            "test",
            takes_split=False,
            published={"test": {"videos": (928,), "sentences": (928,), "samples": (3 * 928,)}},
        ),
        _refcoco("refcoco", "RefCOCO", ("train", "val", "testA", "testB"), (120_624, 10_834, 5_657, 5_095)),
        _refcoco("refcoco+", "RefCOCO+", ("train", "val", "testA", "testB"), (120_191, 10_758, 5_726, 4_889)),
        _refcoco("refcocog", "RefCOCOg", ("train", "val", "test"), (80_512, 4_896, 9_602)),
        Benchmark(
            "mevis",
            "MeViS",
            ("mevis", "MeViS"),
            ("train", "valid_u", "valid"),
            "valid_u",
            own_splits=True,
            published={"train": {"videos": (1662,)}, "valid_u": {"videos": (50,)}, "valid": {"videos": (140,)}},
        ),
    )
}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        InputError: there is none.
    """
    if name not in BENCHMARKS:
        raise InputError(f"There is no benchmark '{name}': use one of {', '.join(BENCHMARKS)}.")
    return BENCHMARKS[name]


def open_benchmark(name: str, root: str | Path, split: str | None = None, **options: Any) -> Any:
    """The reader of a benchmark's split; see `Benchmark.open`.

    Raises:
        InputError: there is no such benchmark or split, or its data is missing or broken.
    """
    return find_benchmark(name).open(root, split, **options)
