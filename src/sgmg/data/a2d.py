"""A2D-Sentences: videos of actors and their actions, three to five frames of each annotated.

    Release/videoset.csv                  no header; column 1: video, column 9: subset, 0 train, 1 test
    Release/CLIPS320/VIDEO.mp4            or CLIPS320H
    text_annotations/a2d_annotation.txt   CSV: video_id,instance_id,query
    text_annotations/a2d_missed_videos.txt
    text_annotations/a2d_annotation_with_instances/VIDEO/FRAME.h5
    a2d_sentences_single_frame_{train,test}_annotations.json    optional: [[query, video, frame, instance], …]

Frames are numbered from 1. An annotation file holds `instance`, ids, and `reMask`, their masks: (instances, width,
height), where there is one instance (width, height).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.data.extras import import_extra
from sgmg.data.lists import read_json, require_component
from sgmg.data.sampling import surrounding_frames
from sgmg.data.windows import FrameChoice, Windows
from sgmg.errors import InputError
from sgmg.video import VideoFrames

SUBSETS = {"train": "0", "test": "1"}
NO_INSTANCE = "1 (copy)"
"""Instance id of the one row of the published annotations that repeats another."""

ROUNDING = 2
"""Pixels by which a side of a mask may differ from its frame: encoders round the sides of videos to even numbers."""


@dataclass(frozen=True)
class A2DEntry:
    """A sentence about an instance in an annotated frame.

    Attributes:
        query: the sentence.
        video: name of the video.
        frame: number of the annotated frame, from 1.
        instance: the instance's id in that frame's annotation.
    """

    query: str
    video: str
    frame: int
    instance: int

    @property
    def id(self) -> str:
        """Id of the sample in results."""
        return f"v_{self.video}_f_{self.frame}_i_{self.instance}"


class A2DSentences(Windows[A2DEntry]):
    """Reader of one split; a sequence of `Sample` s of ``window`` frames, of which the annotated one has a mask.

    The samples are those of the cached list of the split in ``root`` where there is one. Otherwise they are found in
    the annotations: every annotated frame that holds the instance of a sentence. That opens every annotation file,
    which takes a while. The row with the instance id "1 (copy)" and the videos of ``a2d_missed_videos.txt`` are
    dropped.

    Args:
        root: folder that holds ``Release`` and ``text_annotations``.
        split: "train" or "test".
        window: frames of a sample.
        choose: which they are (`Windows`): by default those around the annotated one, as in evaluation; beyond the
            ends of a video its first or last frame is repeated.

    Attributes:
        entries: the `A2DEntry` s of the split, in order.
        list_file: the file they come from.

    Raises:
        InputError: a list is missing or broken, or names something outside of the dataset.

    Example:
        >>> data = A2DSentences("a2d_sentences", "test")
        >>> sample = data[0]
        >>> sample.frames.shape, sample.annotated
        (torch.Size([5, 3, 320, 568]), [2])
    """

    def __init__(
        self, root: str | Path, split: str = "train", window: int = 5, choose: FrameChoice = surrounding_frames
    ) -> None:
        self.root, self.split = Path(root), split
        if split not in SUBSETS:
            raise InputError(f"A2D-Sentences has no split {split!r}: it has train and test.")
        if not self.root.is_dir():
            raise InputError(f"{self.root} is not a folder: give the folder that holds Release and text_annotations.")
        self.videos_folder = videos_folder(self.root)
        self.list_file = cached_list(self.root, split)
        if self.list_file.is_file():
            entries = _read_cached(self.list_file)
        else:
            self.list_file = sentences_file(self.root)
            entries = list(_find_entries(self.root, split))
        super().__init__(entries, window, choose)

    def video_path(self, video: str) -> Path:
        """Where a video lies."""
        return self.videos_folder / f"{video}.mp4"

    def annotation_path(self, entry: A2DEntry) -> Path:
        """Where the masks of an entry's frame lie."""
        return annotations_folder(self.root) / entry.video / f"{entry.frame:05d}.h5"

    def _read_window(self, entry: A2DEntry) -> tuple[np.ndarray, Sequence[int]]:
        path = self.video_path(entry.video)
        with VideoFrames(path) as video:
            if entry.frame > len(video):
                raise InputError(
                    f"{path} holds {len(video)} frames, but frame {entry.frame} is annotated: get the video anew, "
                    "it may be cut off."
                )
            numbers = self._numbers(entry, len(video))
            return video.read([number - 1 for number in numbers]), numbers

    def _read_mask(self, entry: A2DEntry, size: tuple[int, int]) -> np.ndarray:
        path = self.annotation_path(entry)
        with open_annotation(path) as annotation:
            annotation.require_size(size)
            mask = annotation.mask(entry.instance)
        rows, columns = (np.arange(to) * side // to for to, side in zip(size, mask.shape, strict=True))
        return mask[rows[:, None], columns]


# --- the lists ----------------------------------------------------------------------------------------------


def cached_list(root: Path, split: str) -> Path:
    """Where the list of a split's samples lies, if it is there."""
    return root / f"a2d_sentences_single_frame_{split}_annotations.json"


def videoset_file(root: Path) -> Path:
    """Where the list of the videos lies."""
    return root / "Release" / "videoset.csv"


def sentences_file(root: Path) -> Path:
    """Where the sentences lie."""
    return root / "text_annotations" / "a2d_annotation.txt"


def missed_file(root: Path) -> Path:
    """Where the list of videos without annotations lies."""
    return root / "text_annotations" / "a2d_missed_videos.txt"


def annotations_folder(root: Path) -> Path:
    """Where the folders of annotations lie, one a video."""
    return root / "text_annotations" / "a2d_annotation_with_instances"


def videos_folder(root: Path) -> Path:
    """Where the videos lie: CLIPS320 or CLIPS320H, in capitals or not.

    Raises:
        InputError: there is no such folder.
    """
    release = root / "Release"
    folders = {folder.name.lower(): folder for folder in release.iterdir()} if release.is_dir() else {}
    for name in ("clips320", "clips320h"):
        if name in folders and folders[name].is_dir():
            return folders[name]
    raise InputError(f"{release / 'CLIPS320'} is missing: the videos belong there (CLIPS320H is fine, too).")


def read_subsets(root: Path) -> dict[str, str]:
    """Subset of each video, "0" train or "1" test, as ``Release/videoset.csv`` says.

    Raises:
        InputError: it is missing or broken.
    """
    path = videoset_file(root)
    subsets: dict[str, str] = {}
    for number, row in _read_csv(path):
        if len(row) < 9 or row[8].strip() not in SUBSETS.values():
            raise InputError(f"{path}, line {number}: there must be 9 columns, the last of them 0 (train) or 1 (test).")
        require_component(row[0], "a video", path)
        subsets[row[0]] = row[8].strip()
    return subsets


def read_missed(root: Path) -> set[str]:
    """Videos without annotations; none where there is no such list."""
    path = missed_file(root)
    return {line.strip() for line in _read_text(path).splitlines() if line.strip()} if path.is_file() else set()


def read_sentences(root: Path) -> list[tuple[str, int, str]]:
    """Video, instance and sentence of each row of ``a2d_annotation.txt``, without the copied row.

    Raises:
        InputError: it is missing or broken.
    """
    path = sentences_file(root)
    rows = _read_csv(path)
    _, header = next(rows, (1, []))
    if [name.strip() for name in header] != ["video_id", "instance_id", "query"]:
        raise InputError(f"{path} must begin with the line video_id,instance_id,query.")
    sentences = []
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) != 3:
            raise InputError(f"{where}: there must be 3 columns, not {len(row)}; sentences with commas need quotes.")
        video, instance, query = row
        if instance.strip() == NO_INSTANCE:
            continue
        sentences.append((video, _whole_number(instance.strip(), 0, "instance", where), query))
        _require_sentence(video, query, where)
    return sentences


def annotated_frames(root: Path, video: str) -> list[tuple[int, Path]]:
    """Number and file of each annotated frame of a video, in order.

    Raises:
        InputError: the video has no annotations.
    """
    folder = annotations_folder(root) / video
    frames = [(int(path.stem), path) for path in folder.glob("*.h5") if re.fullmatch("[0-9]{5}", path.stem)]
    if not frames:
        raise InputError(
            f"{folder} holds no annotations (00001.h5, …), but {sentences_file(root).name} has sentences about the "
            f"video: unpack them, or add the video to {missed_file(root).name}."
        )
    return sorted(frames)


def _find_entries(root: Path, split: str) -> Iterator[A2DEntry]:
    subsets, missed, sentences = read_subsets(root), read_missed(root), read_sentences(root)
    instances: dict[str, list[tuple[int, list[int]]]] = {}  # by video: frames with the ids of their instances
    for video, instance, query in sentences:
        if video in missed:
            continue
        if video not in subsets:
            raise InputError(f"{videoset_file(root)} has no row for {video!r}: it must say its subset.")
        if subsets[video] != SUBSETS[split]:
            continue
        if video not in instances:
            instances[video] = [(number, read_instances(path)) for number, path in annotated_frames(root, video)]
        for number, ids in instances[video]:
            if instance in ids:
                yield A2DEntry(query, video, number, instance)


def _read_cached(path: Path) -> list[A2DEntry]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError(f"{path} must hold a list of [query, video, frame, instance].")
    entries = []
    for number, row in enumerate(rows):
        where = f"{path}, entry {number}"
        if not isinstance(row, list) or len(row) != 4:
            raise InputError(f"{where} must be [query, video, frame, instance].")
        query, video, frame, instance = row
        _require_sentence(video, query, where)
        frame, instance = _whole_number(frame, 1, "frame", where), _whole_number(instance, 0, "instance", where)
        entries.append(A2DEntry(query, video, frame, instance))
    return entries


def _require_sentence(video: Any, query: Any, where: str) -> None:
    require_component(video, "a video", where)
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"{where}: the sentence is missing.")


def _whole_number(value: Any, least: int, what: str, where: str) -> int:
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,5}", str(value)) or int(value) < least:
        raise InputError(f"{where}: {value!r} is not the number of {what} ({least} or more).")
    return int(value)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and cells of each row that is not empty."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}, is broken: {error}.") from error


# --- annotation files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Annotation:
    """The open annotation of a frame; masks are read when they are asked for.

    Attributes:
        path: the file.
        instances: ids of the instances, in the order of their masks.
        size: height and width of the masks.
    """

    path: Path
    instances: list[int]
    size: tuple[int, int]
    dataset: Any  # h5py's, (instances, width, height) or (width, height)

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that the masks fit to frames of this height and width, but for rounding.

        Raises:
            InputError: they do not.
        """
        if any(abs(own - other) > ROUNDING for own, other in zip(self.size, size, strict=True)):
            raise InputError(
                f"The masks of {self.path} are {self.size[1]}x{self.size[0]}, but the frames of the video are "
                f"{size[1]}x{size[0]}: a mask must have the size of its frame."
            )

    def mask(self, instance: int) -> np.ndarray:
        """The mask of an instance, (H, W) bool.

        Raises:
            InputError: the frame does not hold it, or the file is damaged.
        """
        if instance not in self.instances:
            raise InputError(f"{self.path} has no instance {instance}; it has {_listed(self.instances)}.")
        stored = self.dataset[()] if self.dataset.ndim == 2 else self.dataset[self.instances.index(instance)]
        return np.ascontiguousarray(stored.T) != 0


def read_instances(path: Path) -> list[int]:
    """Ids of the instances of an annotated frame.

    Raises:
        InputError: the file is missing or broken.
    """
    with open_annotation(path) as annotation:
        return annotation.instances


@contextmanager
def open_annotation(path: Path) -> Iterator[Annotation]:
    """Open a frame's annotation; no mask is read before it is asked for.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    h5py = import_extra("h5py", "A2D-Sentences")
    if not path.is_file():
        raise InputError(f"{path} is missing.")
    try:
        with h5py.File(path, "r") as file:
            ids, masks = (_own_dataset(h5py, file, name, path) for name in ("instance", "reMask"))
            if ids.size > 1000:
                raise InputError(f"{path}: {ids.size} instances in a frame are not possible; get the file anew.")
            instances = [int(value) for value in np.asarray(ids[()]).reshape(-1)]
            if masks.ndim not in (2, 3) or len(instances) > (1 if masks.ndim == 2 else masks.shape[0]):
                raise InputError(
                    f"{path}: reMask has the shape {masks.shape}, which does not fit to {len(instances)} instances."
                )
            width, height = masks.shape[-2:]
            yield Annotation(path, instances, (height, width), masks)
    except InputError:
        raise
    except Exception as error:  # HDF5 of a damaged file can raise almost anything
        raise InputError(f"{path} is damaged or no HDF5 file ({error}): get it anew.") from error


def _own_dataset(h5py: Any, file: Any, name: str, path: Path) -> Any:
    """A dataset that the file itself holds: links into other files could lead anywhere."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise InputError(f"{path} holds no dataset {name!r}: it is no annotation of A2D-Sentences.")
    dataset = file[name]
    if dataset.is_virtual or dataset.external or dataset.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name!r} must hold numbers, in the file itself.")
    return dataset


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids)) or "none"
