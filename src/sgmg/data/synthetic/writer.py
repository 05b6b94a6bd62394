"""Generated videos on disk, in the layout of Ref-YouTube-VOS.

    meta_expressions/SPLIT/meta_expressions.json
    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/Annotations/VIDEO/FRAME.png        palette images of object ids, 0 is background
    SPLIT/meta.json                          objects with their categories and the frames they are seen in
    SPLIT/synth.json                         the seed and the configuration

Every expression also has its ``kind``. An expression about a thing that is not there carries the id of an
object of its own that no annotation holds: ``meta.json`` lists it with the category asked for and no frames.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo, SyntheticVideos
from sgmg.errors import InputError
from sgmg.output import check_output, new_folder

MARKER = "synth.json"
JPEG_QUALITY = 95


def write_videos(
    folder: Path,
    config: SyntheticConfig,
    seed: int,
    count: int,
    *,
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Write the first ``count`` videos of a seed; the same seed and configuration give the same bytes.

    A second call with the other split adds it to the same folder. What is written takes its place only when
    all of it is there.

    Args:
        folder: the dataset's root, made where it does not exist.
        overwrite: replace the split, where an earlier call wrote it.
        workers: processes that generate videos.
        progress: wraps the iterable of finished videos, for a progress bar.

    Raises:
        InputError: the split exists, or its place holds something else; cutouts or backgrounds cannot be used.
    """
    if count < 1:
        raise InputError(f"{count} videos cannot be written: ask for at least 1.")
    if workers < 1:
        raise InputError(f"{workers} workers cannot work: give at least 1.")
    split, lists = folder / config.split, folder / "meta_expressions" / config.split
    check_output(split, overwrite, MARKER)
    check_output(lists, overwrite, "meta_expressions.json")
    videos = SyntheticVideos(config, seed)  # What is wrong with the configuration shows before any work.
    with (
        new_folder(lists, overwrite, "meta_expressions.json") as list_draft,
        new_folder(split, overwrite, MARKER) as draft,
    ):
        expressions, objects = {}, {}
        with _writing(videos, draft, workers) as write:
            for name, listed, described in progress(write(range(count))):
                expressions[name], objects[name] = listed, described
        _dump(draft / "meta.json", {"videos": objects})
        _dump(draft / MARKER, {"seed": seed, "videos": count, "config": _plain(config)})
        _dump(list_draft / "meta_expressions.json", {"videos": expressions})


_Written = tuple[str, dict[str, Any], dict[str, Any]]


@contextmanager
def _writing(videos: SyntheticVideos, folder: Path, workers: int) -> Iterator[Callable[[range], Iterable[_Written]]]:
    """A function that writes videos by index, in this process or in others, and gives them in order."""
    if workers == 1:
        yield lambda indices: (_write_video(videos, folder, index) for index in indices)
        return
    # "spawn" is the same on every system, and safe whatever threads this process has.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(videos.config, videos.seed)
    )
    try:
        yield lambda indices: executor.map(partial(_write_in_worker, folder), indices)
    finally:
        executor.shutdown(cancel_futures=True)


_worker_videos: SyntheticVideos | None = None


def _start_worker(config: SyntheticConfig, seed: int) -> None:
    global _worker_videos
    _worker_videos = SyntheticVideos(config, seed)


def _write_in_worker(folder: Path, index: int) -> _Written:
    assert _worker_videos is not None
    return _write_video(_worker_videos, folder, index)


def _write_video(videos: SyntheticVideos, folder: Path, index: int) -> _Written:
    """Write the frames and annotations of one video; its name, its expressions and its objects."""
    video = videos.generate(index)
    name = f"{index:06d}"
    frame_names = [f"{t:05d}" for t in range(len(video.frames))]
    images, annotations = folder / "JPEGImages" / name, folder / "Annotations" / name
    images.mkdir(parents=True)
    annotations.mkdir(parents=True)
    for frame_name, frame, labels in zip(frame_names, video.frames, video.masks, strict=True):
        Image.fromarray(frame).save(images / f"{frame_name}.jpg", quality=JPEG_QUALITY)
        picture = Image.fromarray(labels).convert("P")
        picture.putpalette(_PALETTE)
        picture.save(annotations / f"{frame_name}.png")
    expressions, objects = _describe(video, frame_names)
    return name, {"expressions": expressions, "frames": frame_names}, {"objects": objects}


def _describe(
    video: SyntheticVideo, frame_names: list[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, Any]]]:
    """Expressions and objects, as the two lists hold them."""
    objects: dict[str, dict[str, Any]] = {}
    for thing in video.objects:
        seen = (video.masks == thing.id).any(axis=(1, 2))
        objects[str(thing.id)] = {
            "category": thing.kind,
            "frames": [frame_name for frame_name, here in zip(frame_names, seen, strict=True) if here],
            "motion": thing.motion,
            "source": thing.source,
        }
    expressions: dict[str, dict[str, str]] = {}
    free = max((thing.id for thing in video.objects), default=0) + 1
    for number, expression in enumerate(video.expressions):
        object_id = expression.object_id
        if object_id is None:
            object_id, free = free, free + 1
            objects[str(object_id)] = {"category": expression.noun, "frames": []}
        expressions[str(number)] = {"exp": expression.text, "obj_id": str(object_id), "kind": expression.kind}
    return expressions, objects


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(config: SyntheticConfig) -> dict[str, Any]:
    """The configuration without the places of folders: data of two machines compare equal."""
    plain = asdict(config)
    for key in ("cutouts", "backgrounds"):
        plain[key] = plain[key] is not None
    return plain


def _palette() -> list[int]:
    """The usual colours of annotations: bits of the id spread over red, green and blue."""
    ids = np.arange(256)
    colors = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((ids >> channel) & 1) << (7 - bit)
        ids >>= 3
    return colors.reshape(-1).tolist()


_PALETTE = _palette()
