"""What a layout says of itself, so that `write_videos` can write generated videos in it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from sgmg.data.images import save_labels
from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo
from sgmg.errors import InputError

MARKER = "synth.json"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Part:
    """A run of generated videos that belong to one split.

    Attributes:
        split: the benchmark's name of it.
        generated: the generator's split, "train" or "valid", which have cutouts and backgrounds of their own.
        indices: of the generated videos. They number the videos of a layout too: no two parts share one.
    """

    split: str
    generated: str
    indices: range


@dataclass(frozen=True)
class Folder:
    """A folder below the dataset's root that takes its place as a whole.

    Attributes:
        path: below the root, with slashes.
        marker: a file that it always holds: without it a folder in its place is never replaced. Where it is
            `MARKER`, the file is written with the seed and the configuration.
        shared: other layouts put files into it too. They are kept; see `Layout.owns`.
    """

    path: str
    marker: str = MARKER
    shared: bool = False


#: Where each `Folder` is being written, by its path.
Drafts = Mapping[str, Path]


class Layout(ABC):
    """One benchmark's files. An instance has no state: it is sent to the processes that generate videos.

    Attributes:
        name: as ``--layout`` has it.
        splits: one of which is written at a time; none where all are written together.
    """

    name: str
    splits: ClassVar[tuple[str, ...]] = ()

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """What is generated for this layout, given what was asked for."""
        return config

    @abstractmethod
    def parts(self, split: str | None, count: int) -> list[Part]:
        """Which videos go into which split.

        Args:
            split: one of `splits`; None where there are none.
            count: videos asked for.

        Raises:
            InputError: they are too few.
        """

    @abstractmethod
    def folders(self, split: str | None) -> list[Folder]:
        """The folders that it writes; the last takes its place first."""

    @abstractmethod
    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write the files of one video. It may run in another process.

        Returns:
            What `write_lists` has to know of it; it is pickled.
        """

    @abstractmethod
    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write what speaks of all videos, given what `write_video` returned, in the order of their numbers."""

    def owns(self, file: Path) -> bool:
        """Whether a file of a shared folder is this layout's own, and hence replaced."""
        return True


def shares(count: int, parts: Sequence[tuple[str, str, float]], layout: str, start: int = 0) -> list[Part]:
    """Split videos between parts that are written together, at least one each; what is left goes to the first.

    Args:
        count: videos.
        parts: split, the generator's split, and the share of the videos, for each.
        layout: name, for the message.
        start: index of the first video.

    Raises:
        InputError: there are fewer videos than parts.
    """
    if count < len(parts):
        names = ", ".join(split for split, _, _ in parts)
        raise InputError(f"{count} videos cannot fill {names}: ask for at least {len(parts)} for {layout}.")
    counts = [max(1, int(count * share)) for _, _, share in parts]
    counts[0] = 0
    counts[0] = count - sum(counts)
    result, first = [], start
    for (split, generated, _), size in zip(parts, counts, strict=True):
        result.append(Part(split, generated, range(first, first + size)))
        first += size
    return result


def without_kinds(config: SyntheticConfig, unfit: Sequence[str], layout: str) -> tuple[str, ...]:
    """The kinds of expressions asked for, without those that a benchmark does not have.

    Raises:
        InputError: none is left.
    """
    kinds = tuple(kind for kind in config.kinds if kind not in unfit)
    if not kinds:
        raise InputError(f"{layout} has no expressions of the kinds {', '.join(config.kinds)}: give others.")
    return kinds


def frame_names(video: SyntheticVideo, first: int = 0) -> list[str]:
    """Five digits for each frame, from ``first``."""
    return [f"{t:05d}" for t in range(first, first + len(video.frames))]


def write_frames(folder: Path, names: Sequence[str], frames: np.ndarray) -> None:
    """Frames, (T, H, W, 3) uint8, as JPEG files in a new folder."""
    folder.mkdir(parents=True)
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / f"{name}.jpg", quality=JPEG_QUALITY)


def write_labels(folder: Path, names: Sequence[str], labels: np.ndarray) -> None:
    """Object ids, (T, H, W) uint8, as palette PNG files in a new folder."""
    folder.mkdir(parents=True)
    for name, label in zip(names, labels, strict=True):
        save_labels(folder / f"{name}.png", label)


def dump_json(path: Path, content: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
