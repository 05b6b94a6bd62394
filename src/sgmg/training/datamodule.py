"""Which data a recipe trains on, as a LightningDataModule."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Subset

from sgmg.data.benchmarks import open_benchmark
from sgmg.data.sample import Sample
from sgmg.data.sampling import training_clip
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.clips import Growth, SyntheticClips
from sgmg.data.transforms import Augmentation, AugmentationConfig
from sgmg.errors import InputError
from sgmg.training.batch import collate
from sgmg.training.clips import Clips, DrawnClips, DrawSampler, EntryClips, FixedClips, Source, VideoClips
from sgmg.training.module import SgMgTraining
from sgmg.training.validation import Measure, RegionAndBoundary, SingleFrames

AS_THEY_ARE = AugmentationConfig(photometric=False, flip=0.0, resize=False, crop=False)
"""Clips as they lie on disk."""


@dataclass
class SourceConfig:
    """One source of clips.

    Attributes:
        kind: `synthetic` generates clips as they are needed; the others read a benchmark, or data in its layout.
            `jhmdb` is for validation only.
        root: folder of the benchmark; in a `mix` and for validation, below the root of the whole, if there is one.
        split: of that folder.
        datasets: of `refcoco`, which of the three; their sentences follow each other.
        synthetic: what is generated (`synthetic`).
        length: clips that count as an epoch (`synthetic`).
        clip_length: frames of a clip.
        growth: from which clips on they are longer or larger (`synthetic`).
        clip_frames: of `a2d`, which frames go with the annotated one: those around it (`window`, as in evaluation), or
            two near it and others from all of the video (`drawn`, as training clips of the video benchmarks).
        expressions_per_clip: expressions of a clip, which share its visual encoding.
        augmentation: what is done to training clips.
        keep_absent: also train on clips of a benchmark in which no sentence's object is in any frame, or is left in it
            by augmentation. By default another clip of the source is drawn in their place, as in published training.
            Generated sentences about things that are not there are made on purpose, and always kept (`synthetic`).
        weight: share of the draws that take this source, where there are several.
    """

    kind: Literal["synthetic", "ref-youtube-vos", "ref-davis17", "mevis", "refcoco", "a2d", "jhmdb"] = "synthetic"
    root: Path | None = None
    split: str = "train"
    datasets: tuple[str, ...] = ("refcoco", "refcoco+", "refcocog")
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    length: int = 10_000
    clip_length: int = 5
    growth: list[Growth] = field(default_factory=list)
    clip_frames: Literal["window", "drawn"] = "window"
    expressions_per_clip: int = 1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    keep_absent: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        _require(self, 1, "length", "clip_length", "expressions_per_clip")
        if not self.weight > 0:
            raise InputError(f"weight must be more than 0, not {self.weight}.")


@dataclass
class ValidationConfig(SourceConfig):
    """The source of the clips that training is scored on.

    Attributes:
        synthetic: what is generated; without folders of its own, of training's cutouts and backgrounds, and of shapes
            alone where training is.
        augmentation: what is done to them, the same each time; by default nothing. Published inference has a short
            side of 360: `{resize: true, short_sides: [360]}`.
    """

    augmentation: AugmentationConfig = field(default_factory=lambda: AS_THEY_ARE)


@dataclass
class DataConfig(SourceConfig):
    """The data of a training: one source, or several.

    Attributes:
        mix: several sources, each with its weight; where given, only `root`, `batch_size`, `workers`, `validation`
            and `validation_clips` beside it count.
        batch_size: clips of a batch, of one process.
        workers: processes that read data, for each process that trains.
        validation: source of the clips that training is scored on; none without.
        validation_clips: how many of them, spread over the source.
    """

    mix: list[SourceConfig] = field(default_factory=list)
    batch_size: int = 2
    workers: int = 1
    validation: ValidationConfig | None = None
    validation_clips: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, 1, "batch_size", "validation_clips")
        _require(self, 0, "workers")


def _require(config: SourceConfig, least: int, *names: str) -> None:
    for name in names:
        if (value := getattr(config, name)) < least:
            raise InputError(f"{name} must be {least} or more, not {value}.")


#: Benchmarks of clips with one annotated frame.
WINDOWS = ("a2d", "jhmdb")

#: Generated clips are numbered; none of a training's is beyond this.
ENDLESS = 2**62


def open_source(config: SourceConfig, seed: int) -> Source:
    """The clips of one source.

    Raises:
        InputError: a setting is missing, or its data is.
    """
    augmentation = Augmentation(config.augmentation, config.clip_length)
    if config.kind == "synthetic":
        generated = SyntheticClips(
            config.synthetic,
            seed=seed,
            length=config.clip_length,
            expressions_per_clip=config.expressions_per_clip,
            size=ENDLESS,
            growth=config.growth,
        )
        return Source(generated, augmentation, config.length, config.weight, endless=True)
    if config.root is None:
        raise InputError(f"data of kind {config.kind} needs its folder: give data.root=FOLDER.")
    clips: Clips
    if config.kind == "refcoco":
        if config.clip_length > 1 and not config.augmentation.image_motion:
            raise InputError(
                "RefCOCO's single images become clips of several frames by motion: set augmentation.image_motion=true, "
                "or clip_length=1."
            )
        images = [open_benchmark(name, config.root, config.split) for name in config.datasets]
        clips = EntryClips(images, lambda entry: entry.file_name, config.expressions_per_clip)
    elif config.kind in WINDOWS:
        drawn = config.kind == "a2d" and config.clip_frames == "drawn"
        choice = {"choose": training_clip} if drawn else {}
        windows = open_benchmark(config.kind, config.root, config.split, window=config.clip_length, **choice)
        clips = EntryClips([windows], lambda entry: (entry.video, entry.frame), config.expressions_per_clip)
    else:
        data = open_benchmark(config.kind, config.root, config.split)
        clips = VideoClips(data, config.clip_length, config.expressions_per_clip)
    return Source(clips, augmentation, len(clips), config.weight, keep_absent=config.keep_absent)


def measure_of(config: SourceConfig) -> Measure[Any]:
    """What is measured on clips of a source: what its benchmark reports.

    RefCOCO's images that became clips of several frames by motion are scored as videos.
    """
    if config.kind in WINDOWS:
        return SingleFrames(rank=True)
    if config.kind == "refcoco" and config.clip_length == 1:
        return SingleFrames(rank=False)
    return RegionAndBoundary()


def _below(root: Path | None, folder: Path | None) -> Path | None:
    """A source's folder, which may be given relative to the root of all."""
    return root if folder is None else folder if root is None else root / folder


def _require_alike(sources: Sequence[SourceConfig], batch_size: int) -> None:
    """Clips of one batch must have as many frames, and as many that are annotated.

    Raises:
        InputError: those of these sources have not.
    """
    grown = [(source, growth) for source in sources for growth in source.growth]
    if grown and (len(sources) > 1 or grown[0][0].kind != "synthetic"):
        raise InputError("Only generated clips grow, and only where they are all that is trained on: leave out growth.")
    if any(growth.after % batch_size for _, growth in grown):
        raise InputError(f"Clips of one batch are alike: let growth.after be multiples of batch_size={batch_size}.")
    if batch_size > 1 and len({(source.clip_length, source.kind in WINDOWS) for source in sources}) > 1:
        raise InputError(
            "The parts of data.mix must give clips of one clip_length, and a2d, with one annotated frame a clip, goes "
            "with no other kind: change them, or set data.batch_size=1."
        )


class ClipData(LightningDataModule):
    """Batches for training and validation.

    Args:
        config: where clips come from.
        seed: of every random choice.

    Attributes:
        clips: what is trained on.
        validation: the clips that training is scored on, or None.
        measure: what is measured on them, or None.

    Raises:
        InputError: a setting is missing, or its data is, or cannot be trained on.
    """

    def __init__(self, config: DataConfig, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        sources = [replace(source, root=_below(config.root, source.root)) for source in config.mix] or [config]
        if any(source.kind == "jhmdb" for source in sources):
            raise InputError("JHMDB-Sentences is for evaluation only: train on a2d, and validate on jhmdb.")
        _require_alike(sources, config.batch_size)
        self.clips = DrawnClips([open_source(source, seed) for source in sources], seed)
        self.validation: FixedClips | None = None
        self.measure: Measure[Any] | None = None
        if config.validation is not None:
            # Another seed than training's: generated clips must not be the same.
            validation = replace(config.validation, root=_below(config.root, config.validation.root))
            made = next((source.synthetic for source in sources if source.kind == "synthetic"), None)
            if validation.kind == "synthetic" and made is not None:  # of that material its split has its own part
                validation.synthetic = replace(
                    validation.synthetic,
                    source="shapes" if made.source == "shapes" else validation.synthetic.source,
                    cutouts=validation.synthetic.cutouts or made.cutouts,
                    backgrounds=validation.synthetic.backgrounds or made.backgrounds,
                )
            source = open_source(validation, seed + 1)
            self.validation = FixedClips(source, config.validation_clips, seed + 1)
            self.measure = measure_of(config.validation)

    def train_dataloader(self) -> DataLoader[list[Sample]]:
        """Batches from where training stands to the end of the epoch."""
        trainer = self.trainer
        assert trainer is not None
        module = trainer.lightning_module
        assert isinstance(module, SgMgTraining)
        sampler = DrawSampler(
            len(self.clips),
            self.config.batch_size,
            lambda: module.batches_seen,
            trainer.global_rank,
            trainer.world_size,
        )
        return DataLoader(
            self.clips,
            batch_sampler=sampler,
            num_workers=self.config.workers,
            collate_fn=collate,
        )

    def val_dataloader(self) -> DataLoader[list[Sample]] | list[DataLoader[list[Sample]]]:
        """Each process' share of the validation clips, one clip a batch."""
        trainer = self.trainer
        assert trainer is not None
        if self.validation is None:
            return []
        if len(self.validation) < trainer.world_size:
            raise InputError(
                f"{trainer.world_size} processes cannot share {len(self.validation)} validation clips: give more data "
                "or a higher data.validation_clips, or leave out data.validation."
            )
        share = range(trainer.global_rank, len(self.validation), trainer.world_size)
        return DataLoader(
            Subset(self.validation, share),
            batch_size=1,
            num_workers=self.config.workers,
            collate_fn=collate,
        )
