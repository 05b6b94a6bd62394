"""What is to be done: the videos of a folder or a table, each with its expressions and the name of its results."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from natsort import natsorted, ns

from sgmg.batch.storage import fetched, is_remote, local_path, open_remote
from sgmg.errors import InputError
from sgmg.formats.frames import slug
from sgmg.video import IMAGE_SUFFIXES

JOB = ".batch"
"""What a folder holds that is the output of a job, and in which no videos are looked for."""

TABLES = (".csv", ".jsonl", ".ndjson", ".parquet")

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mxf", ".ogv", ".flv"}
    | {".wmv", ".3gp", ".gif", ".y4m", ".nut"}
)


@dataclass(frozen=True)
class VideoTask:
    """One video of a job.

    Attributes:
        video: its path or address.
        expressions: what to segment in it.
    """

    video: str
    expressions: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the folder of its results is called: readable, safe for any file system, and of no other video.

        The name depends on the path and the expressions alone, so that a job that has grown still finds what it has
        done: "films/Dog 1.mp4" may be "dog-1-5f0c9a3e71b2".
        """
        told = json.dumps([self.video, *self.expressions]).encode()
        stem = PurePosixPath(self.video.replace("\\", "/").rstrip("/")).stem
        return f"{slug(stem, otherwise='video')}-{hashlib.sha256(told).hexdigest()[:12]}"


def find_tasks(source: str, expressions: Sequence[str] = ()) -> list[VideoTask]:
    """The videos of a folder, with the same expressions for all, or of a table.

    Args:
        source: a folder, in which videos are looked for at every depth, or a table (CSV, JSON lines, Parquet) with a
            column `video` and a column `expression`, one a row, or `expressions`, a list. Here or in an object store.
            Paths in a table are relative to its folder. Rows of one video are joined.
        expressions: for all videos; of a table, for it to have none.

    Raises:
        InputError: there is no such folder or table, it holds no video, or a row cannot be used.
    """
    suffix = PurePosixPath(source).suffix.lower()
    if suffix in TABLES:
        rows = _of_table(source, suffix, expressions)
    elif not expressions:
        raise InputError("Say what to segment: --expression 'the dog', or a table with a column of expressions.")
    else:
        rows = ((video, list(expressions)) for video in _in_folder(source))
    joined: dict[str, dict[str, None]] = {}
    for video, sentences in rows:
        joined.setdefault(video, {}).update(dict.fromkeys(sentences))
    if not joined:
        raise InputError(f"'{source}' holds no video.")
    return [VideoTask(video, tuple(sentences)) for video, sentences in joined.items()]


# --- folders ----------------------------------------------------------------------------------------------


def _in_folder(source: str) -> list[str]:
    """Video files, and folders that hold images but no videos."""
    files = _remote_files(source) if is_remote(source) else _local_files(source)
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, []).append(name)
    found = []
    for folder, names in folders.items():
        videos = [name for name in names if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES]
        if videos:
            found += [f"{folder}/{name}" for name in videos]
        elif any(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
            found.append(folder)
    return list(natsorted(found, alg=ns.IGNORECASE))


def _local_files(source: str) -> Iterator[str]:
    root = local_path(source)
    if not root.is_dir():
        kinds = ", ".join(TABLES)
        raise InputError(f"There is no folder '{source}'; give a folder of videos, or a table of them ({kinds}).")
    for folder, folders, files in os.walk(root):  # which follows no links to folders, so that none goes in circles
        if JOB in folders:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name).as_posix() for name in files if not name.startswith("."))


def _remote_files(source: str) -> Iterator[str]:
    system, path = open_remote(source)
    try:
        found = [str(file) for file in system.find(path)]
    except OSError as error:
        raise InputError(f"'{source}' cannot be listed ({error}).") from error
    outputs = tuple({file.partition(f"/{JOB}/")[0] + "/" for file in found if f"/{JOB}/" in file})
    for file in found:
        below = PurePosixPath(file).relative_to(path).parts
        if not file.startswith(outputs) and not any(part.startswith(".") for part in below):
            yield str(system.unstrip_protocol(file))


# --- tables -----------------------------------------------------------------------------------------------


def _of_table(source: str, suffix: str, expressions: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    folder = source.rpartition("/")[0] if is_remote(source) else str(local_path(source).parent)
    with fetched(source) as path:
        if not path.is_file():
            raise InputError(f"There is no table '{source}'; check the path.")
        for number, row in enumerate(_read_table(path, suffix, source), 1):
            where = f"Row {number} of '{source}'"
            video = row.get("video")
            if not isinstance(video, str) or not video.strip() or not video.isprintable():
                raise InputError(f"{where} names no video; it needs a path in the column 'video'.")
            sentences = [*_sentences(row, where)] or list(expressions)
            if not sentences:
                raise InputError(f"{where} says nothing to segment; fill 'expression', or pass --expression for all.")
            yield _from(folder, video), sentences


def _from(folder: str, video: str) -> str:
    if is_remote(video) or is_remote(folder):
        return video if is_remote(video) else f"{folder}/{video}"
    return os.path.normpath(
        Path(folder) / local_path(video) if video.startswith(("~", "file:")) else Path(folder, video)
    )


def _sentences(row: Mapping[str, Any], where: str) -> Iterator[str]:
    for value in (row.get("expression"), row.get("expressions")):
        listed = value
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                listed = json.loads(value)
            except (ValueError, RecursionError):  # no JSON, or nested without end
                listed = value
        for sentence in [listed] if isinstance(listed, str) else listed if isinstance(listed, list) else [listed]:
            if sentence is None or sentence == "":
                continue
            if not isinstance(sentence, str) or not sentence.strip():
                raise InputError(f"{where} has an expression that is no sentence.")
            yield sentence


def _read_table(path: Path, suffix: str, source: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    try:
        if suffix == ".csv":
            header = pyarrow.csv.open_csv(path).schema.names
            strings = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string()))
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, convert_options=strings, parse_options=parse)
        elif suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.json.read_json(path)
        names = table.column_names
        if "video" not in names:
            raise InputError(f"'{source}' has no column 'video'; it has: {', '.join(names)}.")
        wanted = [name for name in ("video", "expression", "expressions") if name in names]
        for batch in table.select(wanted).to_batches():
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"'{source}' cannot be read as a table ({reason}).") from error
