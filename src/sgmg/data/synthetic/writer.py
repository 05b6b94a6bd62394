"""Generated videos on disk, in the layout of a benchmark (`sgmg.data.synthetic.layouts`)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideos
from sgmg.data.synthetic.layouts import Folder, Layout, Part, open_layout
from sgmg.data.synthetic.layouts.layout import MARKER, Drafts, dump_json
from sgmg.errors import InputError
from sgmg.output import check_output, link_or_copy, new_folders, settle
from sgmg.processes import end_with_parent


def write_videos(
    folder: Path,
    config: SyntheticConfig,
    seed: int,
    count: int,
    *,
    layout: str = "ref-youtube-vos",
    split: str | None = None,
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Write the first ``count`` videos of a seed; the same seed and configuration give the same bytes.

    A second call with another split adds it to the same folder. What is written takes its place only when
    all of it is there.

    Args:
        folder: the dataset's root, made where it does not exist.
        config: what the videos are like, where the layout does not ask for something else.
        layout: name of one of `LAYOUTS`.
        split: as the benchmark calls it; by default that of ``config``. Layouts that hold all splits together
            write all of them, and take none.
        overwrite: replace what an earlier call wrote.
        workers: processes that generate videos.
        progress: wraps the iterable of finished videos, for a progress bar.

    Raises:
        InputError: what is to be written exists, or its place holds something else; there is no such layout or
            split; cutouts or backgrounds cannot be used.
    """
    if count < 1:
        raise InputError(f"{count} videos cannot be written: ask for at least 1.")
    if workers < 1:
        raise InputError(f"{workers} workers cannot work: give at least 1.")
    chosen = open_layout(layout)
    split = _check_split(chosen, split, config)
    config = chosen.configure(replace(config, plural_share=0.0))
    parts = chosen.parts(split, count)
    folders = chosen.folders(split)
    settle([folder / place.path for place in folders])
    for place in folders:
        check_output(folder / place.path, overwrite or place.shared, place.marker)
    generators = {
        generated: SyntheticVideos(replace(config, split=generated), seed)
        for generated in dict.fromkeys(part.generated for part in parts)
    }  # What is wrong with the configuration shows before any work.
    record = {"seed": seed, "videos": count, "config": _plain(generators[parts[0].generated].config)}
    tasks = [(part, index) for part in parts for index in part.indices]
    with new_folders([(folder / place.path, overwrite or place.shared, place.marker) for place in folders]) as contents:
        drafts = {place.path: content for place, content in zip(folders, contents, strict=True)}
        with _writing(chosen, generators, drafts, workers) as write:
            described = list(progress(write(tasks)))
        chosen.write_lists(drafts, [(part, entry) for (part, _), entry in zip(tasks, described, strict=True)])
        for place in folders:
            if place.marker == MARKER:
                dump_json(drafts[place.path] / MARKER, record)
            if place.shared:
                _keep(chosen, place, folder / place.path, drafts[place.path])


def _check_split(layout: Layout, split: str | None, config: SyntheticConfig) -> str | None:
    if not layout.splits:
        if split is not None:
            raise InputError(f"The layout {layout.name} holds all splits together: leave out the split '{split}'.")
        return None
    split = config.split if split is None else split
    if split not in layout.splits:
        raise InputError(f"Unknown split '{split}' of {layout.name}: use one of {', '.join(layout.splits)}.")
    return split


def _keep(layout: Layout, place: Folder, old: Path, draft: Path) -> None:
    """Put what other layouts wrote into a shared folder beside what is new."""
    if not old.is_dir():
        return
    for file in old.iterdir():
        if not file.is_file() or file.name == MARKER or layout.owns(file):
            continue
        link_or_copy(file, draft / file.name)


_Task = tuple[Part, int]


@contextmanager
def _writing(
    layout: Layout, generators: dict[str, SyntheticVideos], drafts: Drafts, workers: int
) -> Iterator[Callable[[list[_Task]], Iterable[Any]]]:
    """A function that writes videos, in this process or in others, and gives what is said of them, in order."""
    if workers == 1:
        yield lambda tasks: (_write_video(layout, generators, drafts, task) for task in tasks)
        return
    # "spawn" is the same on every system, and safe whatever threads this process has.
    context = multiprocessing.get_context("spawn")
    settings = {generated: (videos.config, videos.seed) for generated, videos in generators.items()}
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(settings,))
    try:
        yield lambda tasks: executor.map(partial(_write_in_worker, layout, drafts), tasks)
    finally:
        executor.shutdown(cancel_futures=True)


_worker_videos: dict[str, SyntheticVideos] = {}


def _start_worker(settings: dict[str, tuple[SyntheticConfig, int]]) -> None:
    end_with_parent()
    for generated, (config, seed) in settings.items():
        _worker_videos[generated] = SyntheticVideos(config, seed)


def _write_in_worker(layout: Layout, drafts: Drafts, task: _Task) -> Any:
    return _write_video(layout, _worker_videos, drafts, task)


def _write_video(layout: Layout, generators: dict[str, SyntheticVideos], drafts: Drafts, task: _Task) -> Any:
    part, index = task
    return layout.write_video(drafts, part, index, generators[part.generated].generate(index))


def _plain(config: SyntheticConfig) -> dict[str, Any]:
    """The configuration without the places of folders: data of two machines compare equal."""
    plain = asdict(config)
    for key in ("cutouts", "backgrounds"):
        plain[key] = plain[key] is not None
    return plain
