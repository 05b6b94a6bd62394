"""Predictions as the benchmarks' servers take them: a zip of ``Annotations/VIDEO/EXPRESSION_ID/FRAME.png``.

Videos are written one by one into a hidden folder beside the zip, so that an interrupted run goes on where it stopped.
The zip appears only when every mask is there and right.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.data.video_data import Video, VideoData
from sgmg.errors import InputError
from sgmg.evaluation.video_masks import MaskFiles, Predictor, VideoMasks, in_chunks, save_masks
from sgmg.evaluation.workers import Workers
from sgmg.paths import user_path

FOLDER = "Annotations"
_SETTINGS = "settings.json"


def check_submission(output: str | Path, overwrite: bool = False) -> Path:
    """Tell before any work whether a zip may be written; gives its path.

    Raises:
        InputError: it has another suffix, its folder is missing, or it exists and is not to be replaced.
    """
    target = user_path(output)
    if target.suffix != ".zip":
        raise InputError(f"'{output}' is no name of a submission; it must end in .zip.")
    if not target.parent.is_dir():
        raise InputError(f"'{target.parent}' is not a folder; make it, or choose another output.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise InputError(f"'{output}' exists already; choose another output or pass --overwrite.")
    return target


def partial_folder(output: str | Path) -> Path:
    """Where finished videos wait for the others."""
    target = user_path(output)
    return target.with_name(f".{target.name}.partial")


def submit(
    data: VideoData,
    predict: Predictor,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    overwrite: bool = False,
    progress: Callable[[Sequence[Video]], Iterable[Video]] = iter,
) -> Path:
    """Predict all expressions of a split and write a submission.

    Args:
        data: the split; annotations are not looked at.
        predict: gives the masks.
        output: the zip.
        settings: what the predictions depend on, as plain values; a model by its digest, since another may have the
            same name. A run that was interrupted is taken up only by one with the same.
        overwrite: replace a zip that exists, and what an interrupted run with other settings left.
        progress: wraps the videos, to show how far it is.

    Raises:
        InputError: the output cannot be written, an earlier run had other settings, or an image is missing or broken.
    """
    target, partial = check_submission(output, overwrite), partial_folder(output)
    _take_up(partial, settings, overwrite)
    folder = partial / FOLDER
    with Workers[None](data) as pool:
        for video in progress(data.videos):
            if problem(folder, data, video) is not None:
                masks = predict(data, video, video.expressions)
                pool.submit(WriteVideo(video, masks, folder))  # while the next is predicted
        pool.results()
    for video in data.videos:
        if wrong := problem(folder, data, video):
            raise InputError(f"{wrong} Run the same command again.")
    draft = partial / "submission.zip"
    _zip(draft, folder, data.videos)
    check_submission(output, overwrite)  # it was long ago that this was asked
    draft.replace(target)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def problem(folder: Path, data: VideoData, video: Video) -> str | None:
    """What is wrong with a video's masks below a folder, in a sentence; None if they are complete and right."""
    size = data.size(video)
    for expression in video.expressions:
        masks = MaskFiles(folder / video.name / expression.id, video.frames, size)
        for chunk in in_chunks(len(video.frames)):
            try:
                labels = masks.labels(chunk)
            except InputError as error:
                return str(error)
            if not np.isin(labels, (0, 255)).all():
                return f"A mask in {masks.folder} has other values than 0 and 255."
    return None


def _take_up(partial: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Make the folder of finished videos, or find it as an earlier run of the same left it.

    Raises:
        InputError: it is of a run with other settings, and not to be replaced.
    """
    wanted = json.loads(json.dumps(settings))
    if partial.exists():
        found = _noted_settings(partial)
        if found == wanted:
            return
        if not overwrite and (partial / FOLDER).exists():
            other = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
            raise InputError(
                f"{partial} holds the finished videos of an interrupted run with another {' and '.join(other)}: repeat "
                "that run, pass --overwrite to begin anew, or choose another output."
            )
        shutil.rmtree(partial)
    partial.mkdir()
    (partial / _SETTINGS).write_text(json.dumps(wanted), encoding="utf-8")


def _noted_settings(partial: Path) -> dict[str, Any]:
    """What the videos in a folder were predicted with; empty where that cannot be told."""
    try:
        noted = json.loads((partial / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


@dataclass(frozen=True)
class WriteVideo:
    """The job of writing all masks of a video below a folder, where it takes its name when they are there."""

    video: Video
    masks: Sequence[VideoMasks]
    folder: Path

    def __call__(self, data: VideoData) -> None:
        draft, final = self.folder.with_name(f"{self.video.name}.unfinished"), self.folder / self.video.name
        for leftover in (draft, final):  # of a run that was interrupted, or whose masks were damaged since
            if leftover.exists():
                shutil.rmtree(leftover)
        draft.mkdir()
        for expression, masks in zip(self.video.expressions, self.masks, strict=True):
            save_masks(masks, draft / expression.id, self.video.frames)
        self.folder.mkdir(exist_ok=True)
        draft.replace(final)


def _zip(path: Path, folder: Path, videos: Iterable[Video]) -> None:
    """Exactly the masks that were checked, in the order of the lists; PNGs are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for video in videos:
            for expression in video.expressions:
                for frame in video.frames:
                    name = Path(video.name) / expression.id / f"{frame}.png"
                    archive.write(folder / name, (FOLDER / name).as_posix())
