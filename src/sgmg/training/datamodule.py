"""Which data a recipe trains on, as a LightningDataModule."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Subset

from sgmg.data.a2d import A2DSentences
from sgmg.data.mevis import MeViS
from sgmg.data.ref_davis import RefDAVIS17
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.refcoco import RefCOCO
from sgmg.data.sample import Sample
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.clips import SyntheticClips
from sgmg.data.transforms import Augmentation, AugmentationConfig
from sgmg.data.video_data import VideoData
from sgmg.errors import InputError
from sgmg.training.batch import collate
from sgmg.training.clips import Clips, DrawnClips, DrawSampler, EntryClips, Source, VideoClips
from sgmg.training.module import SgMgTraining


@dataclass
class SourceConfig:
    """One source of clips.

    Attributes:
        kind: `synthetic` generates clips as they are needed; the others read a benchmark, or data in its layout.
        root: folder of the benchmark; in a `mix`, below the root of the whole, if there is one.
        split: of that folder.
        datasets: of `refcoco`, which of the three; their sentences follow each other.
        synthetic: what is generated (`synthetic`).
        length: clips that count as an epoch (`synthetic`).
        clip_length: frames of a clip.
        expressions_per_clip: expressions of a clip, which share its visual encoding.
        augmentation: what is done to training clips.
        weight: share of the draws that take this source, where there are several.
    """

    kind: Literal["synthetic", "ref-youtube-vos", "ref-davis17", "mevis", "refcoco", "a2d"] = "synthetic"
    root: Path | None = None
    split: str = "train"
    datasets: tuple[str, ...] = ("refcoco", "refcoco+", "refcocog")
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    length: int = 10_000
    clip_length: int = 5
    expressions_per_clip: int = 1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    weight: float = 1.0


@dataclass
class DataConfig(SourceConfig):
    """The data of a training: one source, or several.

    Attributes:
        mix: several sources, each with its weight; where given, only `root`, `batch_size`, `workers`, `validation`
            and `validation_clips` beside it count.
        batch_size: clips of a batch, of one process.
        workers: processes that read data, for each process that trains.
        validation: source of the clips that training is scored on; none without.
        validation_clips: how many of them, the first.
    """

    mix: list[SourceConfig] = field(default_factory=list)
    batch_size: int = 2
    workers: int = 1
    validation: SourceConfig | None = None
    validation_clips: int = 64


VIDEO_BENCHMARKS: dict[str, Callable[[Path, str], VideoData]] = {
    "ref-youtube-vos": RefYouTubeVOS,
    "ref-davis17": RefDAVIS17,
    "mevis": MeViS,
}
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
        )
        return Source(generated, augmentation, config.length, config.weight, endless=True)
    if config.root is None:
        raise InputError(f"data of kind {config.kind} needs its folder: give data.root=FOLDER.")
    clips: Clips
    if config.kind == "refcoco":
        images = [RefCOCO(config.root, name, config.split) for name in config.datasets]
        clips = EntryClips(images, lambda entry: entry.file_name, config.expressions_per_clip)
    elif config.kind == "a2d":
        windows = A2DSentences(config.root, config.split, config.clip_length)
        clips = EntryClips([windows], lambda entry: (entry.video, entry.frame), config.expressions_per_clip)
    else:
        data = VIDEO_BENCHMARKS[config.kind](config.root, config.split)
        clips = VideoClips(data, config.clip_length, config.expressions_per_clip)
    return Source(clips, augmentation, len(clips), config.weight)


def _below(root: Path | None, folder: Path | None) -> Path | None:
    """A source's folder, which may be given relative to the root of all."""
    return root if folder is None else folder if root is None else root / folder


class ClipData(LightningDataModule):
    """Batches for training and validation.

    Args:
        config: where clips come from.
        seed: of every random choice.
    """

    def __init__(self, config: DataConfig, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        sources = [replace(source, root=_below(config.root, source.root)) for source in config.mix] or [config]
        self.clips = DrawnClips([open_source(source, seed) for source in sources], seed)
        self.validation: Source | None = None
        if config.validation is not None:
            # Another seed than training's: generated clips must not be the same.
            root = _below(config.root, config.validation.root)
            self.validation = open_source(replace(config.validation, root=root), seed + 1)

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
        clips = range(min(self.validation.length, self.config.validation_clips))
        share = clips[trainer.global_rank :: trainer.world_size]
        return DataLoader(
            Subset(self.validation.clips, share),  # type: ignore[arg-type]
            batch_size=1,
            num_workers=self.config.workers,
            collate_fn=collate,
        )
