"""`result.json`: written however long it gets, and read, where it is believed only as far as it can be checked."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from sgmg.data.coco_masks import decode_segmentation
from sgmg.errors import InputError
from sgmg.paths import user_path
from sgmg.segmentation import RESULT, Rle, Segmentation
from sgmg.video import IMAGE_SUFFIXES, Excerpt, Video, VideoFile, VideoSource, open_video

_LARGEST_SIDE = 65_535
_LATEST = 1e9  # seconds, thirty years
_log = logging.getLogger(__name__)


def write_result(
    path: Path, summary: Mapping[str, Any], records_of: Callable[[int], Iterable[Mapping[str, Any]]]
) -> None:
    """Write a summary with the frames of every expression, one a line, so that people can read it too.

    Args:
        path: the file.
        summary: see `Segmentation.summary`.
        records_of: gives the frames of the expression with an index; they are never in memory together.
    """
    marked = dict(summary)
    marked["expressions"] = [{**entry, "frames": "\0frames"} for entry in summary["expressions"]]
    first, *others = json.dumps(marked, indent=2, ensure_ascii=False).split('"\\u0000frames"')
    with path.open("w", encoding="utf-8") as file:
        file.write(first)
        for index, part in enumerate(others):
            for count, record in enumerate(records_of(index)):
                file.write(("[" if count == 0 else ",") + "\n        " + json.dumps(record))
            file.write("\n      ]" + part)
        file.write("\n")


def load_result(result: str | Path, video: VideoSource | None = None) -> Segmentation:
    """See `Segmentation.load`."""
    path = user_path(result)
    if path.is_dir():
        path = path / RESULT
    if not path.is_file():
        raise InputError(f"There is no '{path}'; give a folder that `sgmg segment` wrote, or its {RESULT}.")
    try:
        with path.open(encoding="utf-8") as file:
            if file.read(1) != "{":  # told before all of a film is read
                raise ValueError("no object")
            file.seek(0)
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is not JSON; it may be cut off, or another file.") from error
    found = _Reader(path).read(content)
    if video is None:
        found.video = _source_again(found)
    else:
        whole = _open(video, found.fps)
        if whole.size != found.size:
            raise InputError(
                f"'{whole.source}' is {whole.size[1]}x{whole.size[0]}, but the masks of '{path}' are "
                f"{found.size[1]}x{found.size[0]}; give the video that was segmented."
            )
        found.video = _segmented_part(whole, found)
    return found


def _source_again(found: Segmentation) -> Video | None:
    """The video that was segmented, if it still is where it was."""
    path = user_path(found.source)
    try:
        if not found.source or not (path.is_file() or path.is_dir()):
            return None
        video = _open(path, found.fps)
        return _segmented_part(video, found) if video.size == found.size else None
    except (InputError, OSError, ValueError) as error:
        _log.info("the frames of %s cannot be had: %s", found.source, error)
        return None


def _segmented_part(video: Video, found: Segmentation) -> Video:
    """The frames of a video that a result is of: those of an excerpt have the names that they have in the whole."""
    name = found.frame_names[0]
    starts = [Fraction(0)]
    if isinstance(video, VideoFile) and name.isdecimal():
        starts.insert(0, max(int(name) / video.fps - 1, Fraction(0)))  # saves decoding what comes long before
    for start in starts:
        first = next((frame for frame in video.since(start) if frame.name == name), None)
        if first is not None:
            break
    if first is None or (not first.time and video.frame_count == len(found)):
        return video
    return Excerpt(video, first.time, first.time + Fraction(float(found.times[-1])) + 1 / found.fps / 2)


def _open(video: VideoSource, fps: Fraction) -> Video:
    if isinstance(video, (str, Path)):
        path = user_path(video)
        states_a_rate = not path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES
        return open_video(video, None if states_a_rate else fps)
    return open_video(video, fps)


@dataclass(frozen=True)
class _Reader:
    """Takes a parsed file apart; every error names the file and the place in it."""

    path: Path

    def read(self, content: Any) -> Segmentation:
        size = self._side(content, "height"), self._side(content, "width")
        entries = self._get(content, "expressions", list)
        if not entries:
            raise self._error("it has no expressions")
        tracks = [self._track(entry, f"expression {index}", size) for index, entry in enumerate(entries)]
        names, times = tracks[0].names, tracks[0].times
        if not names or len(set(names)) < len(names):
            raise self._error("its frames are none, or two have one name")
        if any((track.names, track.times) != (names, times) for track in tracks):
            raise self._error("its expressions are not of the same frames")
        return Segmentation(
            expressions=[track.expression for track in tracks],
            rles=[track.rles for track in tracks],
            frame_scores=np.array([track.scores for track in tracks], np.float32),
            size=size,
            fps=self._rate(content),
            times=np.array(times, np.float64),
            frame_names=names,
            source=self._get(content, "source", str),
            model=self._get(content, "model", str),
            settings=self._get(content, "settings", dict),
            warnings=[str(warning) for warning in self._get(content, "warnings", list)],
        )

    def _track(self, entry: Any, where: str, size: tuple[int, int]) -> _Track:
        track = _Track(self._get(entry, "expression", str, where), [], [], [], [])
        for index, record in enumerate(self._get(entry, "frames", list, where)):
            here = f"frame {index} of {where}"
            name = self._get(record, "frame", str, here)
            if not _is_file_name(name):
                raise self._error(f"{here} has a name that is none for a file")
            track.names.append(name)
            track.times.append(self._number(record, "time", here, 0, _LATEST))
            track.scores.append(self._number(record, "score", here, 0, 1))
            rle = self._get(record, "rle", dict, here)
            decode_segmentation(rle, size, f"'{self.path}', {here}")
            if not isinstance(rle["counts"], str):
                raise self._error(f"{here} has run lengths that are not compressed")
            track.rles.append({"size": list(size), "counts": rle["counts"].encode("ascii")})
        return track

    def _side(self, content: Any, key: str) -> int:
        side: int = self._get(content, key, int)
        if not 1 <= side <= _LARGEST_SIDE:
            raise self._error(f"its {key} is {side}")
        return side

    def _rate(self, content: Any) -> Fraction:
        text = self._get(content, "frame_rate_exact", str)
        try:
            rate = Fraction(text) if len(text) < 40 else Fraction(0)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if not 0 < rate <= 1000:
            raise self._error("its frame rate is not possible")
        return rate

    def _number(self, record: Any, key: str, where: str, least: float, most: float) -> float:
        value = record.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self._error(f'{where} has no "{key}" that is possible')
        return float(value)

    def _get(self, record: Any, key: str, kind: type, where: str = "it") -> Any:
        value = record.get(key) if isinstance(record, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._error(f'{where} has no "{key}" as results have it')
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self._error(f'{where} has half a letter in its "{key}", which cannot be written')
        return value

    def _error(self, problem: str) -> InputError:
        return InputError(f"'{self.path}' is not a result of sgmg segment, or is damaged: {problem}.")


@dataclass(frozen=True)
class _Track:
    """One expression with its frames."""

    expression: str
    names: list[str]
    times: list[float]
    scores: list[float]
    rles: list[Rle]


def _is_file_name(name: str) -> bool:
    """Whether a frame's name stays in its folder, on any system."""
    return (
        0 < len(name) <= 200
        and not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name)
        and name not in (".", "..")
        and PurePosixPath(name).name == name == PureWindowsPath(name).name
    )
