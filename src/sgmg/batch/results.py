"""The table of results: a row for each expression of each video, in Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sgmg.batch.storage import Storage
from sgmg.batch.videos import VideoTask
from sgmg.formats.frames import FoundFrame

RESULTS = "results.parquet"

SCHEMA = pa.schema(
    [
        pa.field("video", pa.string(), metadata={"is": "path or address, as the job had it"}),
        pa.field("name", pa.string(), metadata={"is": "the folder of its results"}),
        pa.field("expression", pa.string()),
        pa.field("score", pa.float32(), metadata={"is": "mean over the frames, in [0, 1]"}),
        pa.field("frames", pa.int32()),
        pa.field("height", pa.int32(), metadata={"is": "pixels, of the video and its masks"}),
        pa.field("width", pa.int32()),
        pa.field("times", pa.list_(pa.float64()), metadata={"is": "of each frame, seconds since the first"}),
        pa.field("scores", pa.list_(pa.float32()), metadata={"is": "of each frame, in [0, 1]"}),
        pa.field(
            "boxes",
            pa.list_(pa.list_(pa.float32())),
            metadata={"is": "of each frame x1, y1, x2, y2 in pixels, ends exclusive; null where the mask is empty"},
        ),
        pa.field("rles", pa.list_(pa.string()), metadata={"is": "of each frame, COCO's compressed run lengths"}),
        pa.field("seconds_read", pa.float64(), metadata={"is": "spent on the video, with all of its expressions"}),
        pa.field("seconds_segment", pa.float64()),
        pa.field("seconds_write", pa.float64()),
        pa.field("error", pa.string(), metadata={"is": "why there is no result; null where there is one"}),
    ]
)
"""Its columns."""

_AT_ONCE = 64
_READERS = 16


class Rows:
    """The rows of one video, gathered frame by frame; `add` is an `on_frame` of `sgmg.to_folder`.

    Args:
        task: the video.
        size: its (H, W).
    """

    def __init__(self, task: VideoTask, size: tuple[int, int]) -> None:
        self._task, self._size = task, size
        self._times: list[float] = []
        count = len(task.expressions)
        self._scores: list[list[float]] = [[] for _ in range(count)]
        self._boxes: list[list[list[float] | None]] = [[] for _ in range(count)]
        self._rles: list[list[str]] = [[] for _ in range(count)]

    def add(self, found: FoundFrame) -> None:
        """One more frame."""
        self._times.append(round(float(found.time), 6))
        for index, (score, box, rle) in enumerate(zip(found.scores, found.boxes, found.rles, strict=True)):
            self._scores[index].append(float(score))
            self._boxes[index].append(box.tolist() if box.any() else None)
            self._rles[index].append(rle["counts"].decode("ascii"))

    def to_bytes(self, scores: np.ndarray, seconds: dict[str, float]) -> bytes:
        """All of them, as Parquet.

        Args:
            scores: (E,) means.
            seconds: by stage: read, segment, write.
        """
        rows = [
            {
                "video": self._task.video,
                "name": self._task.name,
                "expression": expression,
                "score": float(scores[index]),
                "frames": len(self._times),
                "height": self._size[0],
                "width": self._size[1],
                "times": self._times,
                "scores": self._scores[index],
                "boxes": self._boxes[index],
                "rles": self._rles[index],
                **{f"seconds_{stage}": spent for stage, spent in seconds.items()},
            }
            for index, expression in enumerate(self._task.expressions)
        ]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer, compression="zstd")
        return buffer.getvalue()


def join_results(
    storage: Storage, places: Iterable[str], failures: Iterable[tuple[VideoTask, str]], place: str = RESULTS
) -> None:
    """One table of the tables of finished videos, in their order, and of those that failed.

    Args:
        storage: where all of it is.
        places: the videos' own tables.
        failures: with their reasons.
        place: where to write it; what is there is replaced when the new one is whole.
    """
    with (
        storage.replacing(place) as draft,
        pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer,
        ThreadPoolExecutor(_READERS) as pool,
    ):
        for some in _some_at_once(places):
            parts = [pq.read_table(io.BytesIO(content)) for content in pool.map(storage.read, some)]
            writer.write_table(pa.concat_tables(parts).select(SCHEMA.names).cast(SCHEMA))
        for some in _some_at_once(failures):
            rows = [
                {"video": task.video, "name": task.name, "expression": expression, "error": reason}
                for task, reason in some
                for expression in task.expressions
            ]
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))


def _some_at_once(items: Iterable[Any]) -> Iterator[Sequence[Any]]:
    iterator = iter(items)
    while some := list(islice(iterator, _AT_ONCE)):
        yield some
