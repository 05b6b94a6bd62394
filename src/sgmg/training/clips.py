"""Where training clips come from, and in what order: any clip of a training follows from the seed alone."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset, Sampler

from sgmg.data.sample import Sample
from sgmg.data.sampling import training_clip
from sgmg.data.transforms import Augmentation
from sgmg.data.video_data import VideoData
from sgmg.errors import InputError


class Clips(Protocol):
    """Numbered clips; each a list of samples, one an expression, that share their frames."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> list[Sample]: ...


class VideoClips:
    """Training clips of a video benchmark.

    Every `clip_length`-th frame of a video is an anchor for each of its expressions (as published). Which
    frames go with it is drawn anew each time, with torch's global random numbers.

    Args:
        data: the split.
        clip_length: frames a clip.
        expressions_per_clip: expressions of a video that share a clip, and with it the visual encoding.
    """

    def __init__(self, data: VideoData, clip_length: int, expressions_per_clip: int = 1) -> None:
        self.data = data
        self.clip_length = clip_length
        self.clips = [
            (video, video.expressions[first : first + expressions_per_clip], anchor)
            for video in data.videos
            for first in range(0, len(video.expressions), expressions_per_clip)
            for anchor in range(0, len(video.frames), clip_length)
        ]
        if not self.clips:
            raise InputError(f"{data.list_file} lists no expression to train on.")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> list[Sample]:
        video, expressions, anchor = self.clips[index]
        frames = training_clip(anchor, self.clip_length, len(video.frames), torch.default_generator)
        samples = [self.data.sample(video, expression, frames) for expression in expressions]
        for sample in samples[1:]:
            sample.frames = samples[0].frames
        return samples


class Entries(Protocol):
    """A benchmark that says of every sentence which image, or which frame of which video, it is about."""

    list_file: Path

    @property
    def entries(self) -> Sequence[Any]: ...

    def samples(self, entries: Sequence[Any], /) -> list[Sample]:
        """Read entries about the same frame, which they share."""


class EntryClips:
    """Training clips of benchmarks with one annotated frame a sentence: images, or clips of videos around it.

    Args:
        benchmarks: one or several, of which the entries follow each other.
        about: what an entry is about; sentences about the same may share a clip.
        expressions_per_clip: how many sentences share a clip, and with it the visual encoding.
    """

    def __init__(
        self, benchmarks: Sequence[Entries], about: Callable[[Any], Hashable], expressions_per_clip: int = 1
    ) -> None:
        self.clips: list[tuple[Entries, list[Any]]] = []
        for benchmark in benchmarks:
            groups: dict[Hashable, list[Any]] = {}
            for entry in benchmark.entries:
                groups.setdefault(about(entry), []).append(entry)
            self.clips += [
                (benchmark, group[first : first + expressions_per_clip])
                for group in groups.values()
                for first in range(0, len(group), expressions_per_clip)
            ]
        if not self.clips:
            raise InputError(f"{benchmarks[0].list_file} lists no sentence to train on.")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> list[Sample]:
        benchmark, entries = self.clips[index]
        return benchmark.samples(entries)


def _seed(*parts: int) -> int:
    """One number for several: tuples of integers hash alike in every process."""
    return hash(parts) & 0x7FFF_FFFF_FFFF_FFFF


@dataclass
class Source:
    """A source of clips to draw from.

    Attributes:
        clips: the clips.
        augmentation: what is done to each.
        length: how many of them count as an epoch.
        weight: share of the draws that take this source, where there are several.
        endless: whether any index gives another clip (generated data), so that none need be seen twice.
        keep_absent: whether clips are trained on in which no sentence's object is in any frame; else another clip of
            the source takes their place.
    """

    clips: Clips
    augmentation: Augmentation
    length: int
    weight: float = 1.0
    endless: bool = False
    keep_absent: bool = True


#: Clips that a draw looks at for one whose object is there.
MOST_TRIES = 1000


class DrawnClips(Dataset[list[Sample]]):
    """An endless, shuffled, augmented stream of clips, by number of the draw.

    Draw `n` is the same whichever process makes it and whatever was drawn before.

    Args:
        sources: one or more. One source is gone through once an epoch, in an order of its own for each; of
            several, each draw takes one by its weight, and any clip of it. Where a source does not keep clips
            without an object, any other clip of it takes their place (as published).
        seed: of every choice.
    """

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        self.sources, self.seed = list(sources), seed
        self._order: tuple[int, torch.Tensor] | None = None

    def __len__(self) -> int:
        """Clips an epoch."""
        return sum(source.length for source in self.sources)

    def _place(self, draw: int) -> tuple[Source, int]:
        """Source, and index in it, of a draw."""
        source = self.sources[0]
        if len(self.sources) > 1:
            weights = torch.tensor([float(source.weight) for source in self.sources])
            source = self.sources[int(torch.multinomial(weights, 1))]
        if source.endless:
            return source, draw
        if len(self.sources) > 1:
            return source, int(torch.randint(source.length, ()))
        epoch, place = divmod(draw, source.length)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(_seed(self.seed, epoch))
            self._order = epoch, torch.randperm(source.length, generator=generator)
        return source, int(self._order[1][place])

    def __getitem__(self, draw: int) -> list[Sample]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(self.seed, draw, 1))
            source, index = self._place(draw)
            for _ in range(MOST_TRIES):
                samples = source.augmentation(source.clips[index])
                if source.keep_absent or any(sample.masks.any() for sample in samples):
                    return samples
                index = int(torch.randint(source.length, ()))
        raise InputError(
            f"None of {MOST_TRIES} training clips shows the object of its sentence, the last one of video "
            f"{samples[0].video!r}: check the masks with sgmg data check, or set keep_absent=true."
        )


class FixedClips(Dataset[list[Sample]]):
    """Clips to validate on: spread over their source, and the same each time, with what augmentation does to them.

    Args:
        source: where they come from.
        count: how many, or all that there are.
        seed: of the choices that augmentation and clips make.
    """

    def __init__(self, source: Source, count: int, seed: int) -> None:
        self.source, self.seed = source, seed
        count = min(count, source.length)
        # Neighbours are often of one video, and say the same again.
        self.indices = [place * source.length // count for place in range(count)]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> list[Sample]:
        index = self.indices[place]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(self.seed, index, 2))
            return self.source.augmentation(self.source.clips[index])


class DrawSampler(Sampler[list[int]]):
    """The numbers of the draws of each batch of one process, from where training stands to the epoch's end.

    Args:
        clips: clips an epoch; the last batch of an epoch is filled from the next, so that batches are whole.
        batch_size: clips a batch of one process.
        batches_seen: asked at each start for the batches that this process has trained on so far.
        rank: of this process.
        world_size: processes.
    """

    def __init__(
        self, clips: int, batch_size: int, batches_seen: Callable[[], int], rank: int = 0, world_size: int = 1
    ) -> None:
        self.batches = -(-clips // (batch_size * world_size))
        self.batch_size, self.batches_seen = batch_size, batches_seen
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        """Batches a whole epoch."""
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        seen = self.batches_seen()
        for batch in range(seen, (seen // self.batches + 1) * self.batches):
            first = (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))
