"""JHMDB-Sentences: short videos of one actor each, for evaluation only.

    jhmdb_sentences_samples_metadata.json    [[video, "./jhmdb_sentences/Rename_Images/ACTION/VIDEO/00018.png",
                                             "./jhmdb_sentences/puppet_mask/ACTION/VIDEO/puppet_mask.mat",
                                             total frames, query], …]
    Rename_Images/ACTION/VIDEO/FRAME.png     FRAME is five digits
    puppet_mask/ACTION/VIDEO/puppet_mask.mat    part_mask, (height, width, frames)

Frames are numbered from 1; masks are values other than 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sgmg.data.extras import import_extra
from sgmg.data.images import read_frames
from sgmg.data.lists import read_json, require_component
from sgmg.data.windows import Windows
from sgmg.errors import InputError

LIST = "jhmdb_sentences_samples_metadata.json"


@dataclass(frozen=True)
class JHMDBEntry:
    """A sentence about the actor in one of the evaluated frames.

    Attributes:
        query: the sentence.
        video: name of the video.
        frame: number of the annotated frame, from 1.
        total: frames of the video.
        frames_folder: where they lie, below the root.
        mask_file: where the masks of the video lie, below the root.
        instance: 1, since there is one actor.
    """

    query: str
    video: str
    frame: int
    total: int
    frames_folder: str
    mask_file: str
    instance: int = 1

    @property
    def id(self) -> str:
        """Id of the sample in results."""
        return f"v_{self.video}_f_{self.frame}"


class JHMDBSentences(Windows[JHMDBEntry]):
    """Reader of the whole of it; a sequence of `Sample` s of ``window`` frames, one of which has a mask.

    Three frames of each video are evaluated. Which ones is no rule but a choice made once, which the published list
    of samples records: each of its entries is one evaluated frame (video, frame, mask file, frames of the video,
    sentence), three for each video. Scores compare only where this list is the same; so it is needed, and no frames
    are drawn where it is missing. Its paths begin with ``./jhmdb_sentences``, which stands for ``root`` whatever
    that is called. Frames are numbered from 1; frame N is slice N - 1 of the masks.

    Args:
        root: folder that holds ``jhmdb_sentences_samples_metadata.json``, ``Rename_Images`` and ``puppet_mask``.
        window: frames of a sample; beyond the ends of a video its first or last frame is repeated.

    Attributes:
        entries: the `JHMDBEntry` s, in order.
        list_file: the list they come from.

    Raises:
        InputError: the list is missing or broken, or names something outside of the dataset.
    """

    def __init__(self, root: str | Path, window: int = 5) -> None:
        self.root = Path(root)
        self.list_file = self.root / LIST
        rows = read_json(self.list_file)
        if not isinstance(rows, list):
            raise InputError(f"{self.list_file} must hold a list of [video, frame, masks, total frames, query].")
        super().__init__([_parse(row, f"{self.list_file}, entry {n}") for n, row in enumerate(rows)], window)

    def frame_path(self, entry: JHMDBEntry, number: int) -> Path:
        """Where a frame of an entry's video lies."""
        return self.root / entry.frames_folder / f"{number:05d}.png"

    def mask_path(self, entry: JHMDBEntry) -> Path:
        """Where the masks of an entry's video lie."""
        return self.root / entry.mask_file

    def _read_window(self, entry: JHMDBEntry) -> tuple[np.ndarray, Sequence[int]]:
        numbers = self._numbers(entry, entry.total)
        unique = sorted(set(numbers))
        frames = read_frames([self.frame_path(entry, number) for number in unique])
        return frames[[unique.index(number) for number in numbers]], numbers

    def _read_mask(self, entry: JHMDBEntry, size: tuple[int, int]) -> np.ndarray:
        path = self.mask_path(entry)
        shape = masks_shape(path)
        require_fit(path, shape, size, entry.frame)
        scipy_io = import_extra("scipy.io", "JHMDB-Sentences")
        try:
            masks = scipy_io.loadmat(path, variable_names=["part_mask"])["part_mask"]
        except Exception as error:  # as in masks_shape
            raise InputError(f"{path} is damaged ({error}): get it anew.") from error
        return np.ascontiguousarray(masks.reshape(shape)[:, :, entry.frame - 1]) != 0


def masks_shape(path: Path) -> tuple[int, int, int]:
    """Height, width and number of the masks of a video, without reading their pixels.

    Raises:
        InputError: the file is missing, broken, or holds something else.
    """
    scipy_io = import_extra("scipy.io", "JHMDB-Sentences")
    if not path.is_file():
        raise InputError(f"{path} is missing.")
    try:
        found = {name: (shape, kind) for name, shape, kind in scipy_io.whosmat(path)}
    except Exception as error:  # of a damaged file SciPy raises almost anything
        raise InputError(f"{path} is damaged or no .mat file ({error}): get it anew.") from error
    shape, kind = found.get("part_mask", ((), ""))
    if len(shape) not in (2, 3) or not re.fullmatch("u?int[0-9]+|double|single|logical", kind):
        raise InputError(f"{path} must hold part_mask, an array of height x width x frames.")
    return (*shape, 1) if len(shape) == 2 else shape  # MATLAB drops a last axis of one


def require_fit(path: Path, shape: tuple[int, int, int], size: tuple[int, int], frame: int) -> None:
    """Check that masks fit to frames of this height and width, and that frame number ``frame`` has one.

    Raises:
        InputError: they do not.
    """
    if shape[:2] != tuple(size):
        raise InputError(
            f"The masks of {path} are {shape[1]}x{shape[0]}, but the frames of the video are {size[1]}x{size[0]}: "
            "a mask must have the size of its frame."
        )
    if frame > shape[2]:
        raise InputError(f"{path} holds masks of {shape[2]} frames, but frame {frame} is evaluated: get it anew.")


def _parse(row: Any, where: str) -> JHMDBEntry:
    if not isinstance(row, list) or len(row) != 5:
        raise InputError(f"{where} must be [video, frame, masks, total frames, query].")
    video, frame_path, mask_path, total, query = row
    require_component(video, "a video", where)
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"{where}: the sentence is missing.")
    if isinstance(total, bool) or not isinstance(total, int) or total < 1:
        raise InputError(f"{where}: {total!r} is not a number of frames (1 or more).")
    frame_file = _below_root(frame_path, "Rename_Images", where)
    if not re.fullmatch("[0-9]{5}", frame_file.stem) or not 1 <= int(frame_file.stem) <= total:
        raise InputError(f"{where}: {frame_path!r} is none of the {total} frames of the video (00001.png and on).")
    mask_file = _below_root(mask_path, "puppet_mask", where)
    return JHMDBEntry(query, video, int(frame_file.stem), total, str(frame_file.parent), str(mask_file))


def _below_root(path: Any, folder: str, where: str) -> PurePosixPath:
    """``./jhmdb_sentences/FOLDER/ACTION/VIDEO/FILE`` without what stands before FOLDER."""
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    own = parts[parts.index(folder) :] if folder in parts else ()
    if len(own) != 4:
        raise InputError(f"{where}: {path!r} must be like ./jhmdb_sentences/{folder}/ACTION/VIDEO/FILE.")
    for part in own:
        require_component(part, "a file or folder", where)
    return PurePosixPath(*own)
