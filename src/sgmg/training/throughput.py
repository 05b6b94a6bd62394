"""How fast training data is loaded: the loader alone, without a network behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from sgmg.data.benchmarks import Benchmark
from sgmg.data.transforms import AugmentationConfig
from sgmg.errors import InputError
from sgmg.training.batch import collate
from sgmg.training.clips import DrawnClips, Source
from sgmg.training.datamodule import AS_THEY_ARE, SourceConfig, open_source
from sgmg.training.loading import worker_errors


@dataclass(frozen=True)
class LoadingSpeed:
    """What a loader did.

    Attributes:
        workers: its processes; 0 is the process that would train.
        start_seconds: until it ran at its pace: starting the processes and loading the first batches.
        seconds: what was measured then.
        clips, frames, samples: what was loaded in that time; a sample is an expression with a clip.
    """

    workers: int
    start_seconds: float
    seconds: float
    clips: int
    frames: int
    samples: int

    @property
    def frames_per_second(self) -> float:
        """Frames that are ready for the network, a second."""
        return self.frames / self.seconds

    @property
    def samples_per_second(self) -> float:
        """Expressions that are ready for the network, a second."""
        return self.samples / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {
            "frames_per_second": self.frames_per_second,
            "samples_per_second": self.samples_per_second,
        }


def benchmark_source(
    benchmark: Benchmark, root: Path, split: str | None = None, clip_length: int = 5, augment: bool = True
) -> Source:
    """The clips of a benchmark as a training would have them.

    Args:
        benchmark: which; JHMDB-Sentences, which nobody trains on, is read in the windows of its evaluation.
        root: its folder.
        split: by default what is trained on.
        clip_length: frames of a clip; images stay single.
        augment: with the published augmentation, which takes time too.

    Raises:
        InputError: there is no such split, or its data is missing or broken.
    """
    split = split or ("train" if "train" in benchmark.splits else benchmark.default_split)
    benchmark.require_split(split)
    config = AugmentationConfig() if augment else AS_THEY_ARE
    images = benchmark.name.startswith("refcoco")
    kind: Any = "refcoco" if images else benchmark.name
    datasets = (benchmark.name,) if images else ()
    length = 1 if images else clip_length
    return open_source(SourceConfig(kind, root, split, datasets, clip_length=length, augmentation=config), seed=0)


def loading_speed(
    source: Source,
    workers: int,
    clips: int = 64,
    batch_size: int = 2,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> LoadingSpeed:
    """Load clips in random order, as a training does, and take the time.

    What the processes load ahead of the first batch is not measured: it would make few clips look fast.

    Args:
        source: of the clips.
        workers: processes that load.
        clips: how many to measure, rounded up to whole batches.
        batch_size: clips of a batch.
        progress: wraps the numbers of the batches, for a progress bar.

    Raises:
        InputError: a number is too small; data is missing or broken.
    """
    if workers < 0 or clips < 1 or batch_size < 1:
        raise InputError("There must be 0 workers or more, at least 1 clip, and at least 1 clip in a batch.")
    ahead = max(1, 2 * workers)  # what a DataLoader prefetches
    batches = -(-clips // batch_size)
    draws = [list(range(first, first + batch_size)) for first in range(0, (ahead + batches) * batch_size, batch_size)]
    with worker_errors():
        loader = iter(DataLoader(DrawnClips([source], 0), batch_sampler=draws, num_workers=workers, collate_fn=collate))
        begin = time.perf_counter()
        for _ in range(ahead):
            next(loader)
        start = time.perf_counter()
        frames = samples = 0
        for _ in progress(range(batches)):
            batch = next(loader)
            frames += batch.frames.shape[0] * batch.frames.shape[1]
            samples += len(batch.expressions)
        end = time.perf_counter()
    return LoadingSpeed(workers, start - begin, max(end - start, 1e-9), batches * batch_size, frames, samples)
