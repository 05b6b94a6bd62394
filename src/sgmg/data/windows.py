"""Samples with one annotated frame: what A2D-Sentences and JHMDB-Sentences have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from sgmg.data.sample import Sample
from sgmg.data.sampling import surrounding_frames
from sgmg.errors import InputError


class WindowEntry(Protocol):
    """A sample as the lists describe it; nothing of it has been read."""

    @property
    def query(self) -> str:
        """The sentence."""

    @property
    def video(self) -> str:
        """Name of the video."""

    @property
    def frame(self) -> int:
        """Number of the annotated frame, from 1."""

    @property
    def instance(self) -> int:
        """Id of the object in that frame."""

    @property
    def id(self) -> str:
        """Id of the sample in results."""


Entry = TypeVar("Entry", bound=WindowEntry)
FrameChoice = Callable[[int, int, int], list[int]]


class Windows(ABC, Generic[Entry]):
    """A sequence of `Sample` s: an annotated frame with others around it, the only one with a mask.

    Args:
        entries: what there is to read.
        window: frames of a sample.
        choose: which they are: given the index of the annotated frame, their number and that of the video's frames,
            the indices in rising order. A window around the annotated frame, or `training_clip`.

    Attributes:
        entries: the samples as the lists describe them, in the order of the lists.
    """

    def __init__(self, entries: list[Entry], window: int, choose: FrameChoice = surrounding_frames) -> None:
        if window < 1:
            raise InputError(f"A window of {window} frames is not possible; give 1 or more.")
        self.entries, self.window, self.choose = entries, window, choose

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.entries[index])

    def sample(self, entry: Entry) -> Sample:
        """Read an entry; only the frames of its window are decoded.

        Raises:
            InputError: a file of it is missing, broken, or does not fit to the others.
        """
        return self.samples([entry])[0]

    def samples(self, entries: Sequence[Entry]) -> list[Sample]:
        """Read entries about one annotated frame; they share their frames, which are read once.

        Raises:
            InputError: as for `sample`.
        """
        frames, numbers = self._read_window(entries[0])  # (T, H, W, 3)
        shared = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
        annotated = numbers.index(entries[0].frame)  # the first, where it is repeated: as published evaluation does
        found = []
        for entry in entries:
            masks = torch.zeros(frames.shape[:3], dtype=torch.bool)
            masks[annotated] = torch.from_numpy(self._read_mask(entry, frames.shape[1:3]))
            found.append(
                Sample(
                    frames=shared,
                    masks=masks,
                    expression=entry.query,
                    video=entry.video,
                    expression_id=entry.id,
                    frame_names=[f"{number:05d}" for number in numbers],
                    annotated=[annotated],
                )
            )
        return found

    def _numbers(self, entry: Entry, total: int) -> list[int]:
        """Numbers of the frames of an entry's sample, from 1, in a video of so many frames."""
        return [index + 1 for index in self.choose(entry.frame - 1, self.window, total)]

    @abstractmethod
    def _read_window(self, entry: Entry) -> tuple[np.ndarray, Sequence[int]]:
        """The frames of an entry, (T, H, W, 3) uint8, and their numbers, from 1."""

    @abstractmethod
    def _read_mask(self, entry: Entry, size: tuple[int, int]) -> np.ndarray:
        """The mask of an entry's annotated frame, (H, W) bool, whose frame has this height and width."""
