"""What a run has finished, on disk: one line a clip, so that nothing of a long video waits in memory for the end of it.

The journal of a run that was interrupted is all that the next one needs to go on. It lies hidden beside the output,
`.OUTPUT.partial/journal.jsonl`, and goes when the output is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from sgmg.clips import SegmentedClip
from sgmg.errors import InputError
from sgmg.segmentation import Rle
from sgmg.tracking import Hypotheses


class Journal:
    """Finished clips of one run, appended one by one and read again as often as needed.

    Args:
        output: the folder that the run is to make.
        about: what the masks depend on, as plain values; a run is gone on with only by one with the same.
        resume: go on with an earlier run's journal, if there is one.
        overwrite: begin anew where there is one, unless `resume` too.

    Attributes:
        frames: how many are finished.

    Raises:
        InputError: there is an earlier run's journal, and it is not to be used, cannot be, or is not of the same run.
    """

    def __init__(self, output: Path, about: Mapping[str, Any], resume: bool = False, overwrite: bool = False) -> None:
        self._folder = output.with_name(f".{output.name}.partial")
        self._path = self._folder / "journal.jsonl"
        self.frames = 0
        about = json.loads(json.dumps(about))
        if self._holds_clips() and (resume or not overwrite):
            self._take_up(about, resume)
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(about) + "\n", encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8")

    def _holds_clips(self) -> bool:
        """Whether an earlier run came so far that a clip was finished; what was killed sooner left nothing of use."""
        try:
            with self._path.open("rb") as file:
                return file.readline().endswith(b"\n") and file.readline().endswith(b"\n")
        except FileNotFoundError:
            return False

    def _take_up(self, about: Mapping[str, Any], resume: bool) -> None:
        try:
            with self._path.open("rb") as file:
                found, end = json.loads(file.readline()), file.tell()
                while line := file.readline():
                    if not line.endswith(b"\n"):
                        break  # it was being written when the run ended
                    self.frames += len(json.loads(line)["names"])
                    end = file.tell()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"What an interrupted run left in '{self._folder}' is damaged; begin anew with --overwrite and without "
                "--resume."
            ) from error
        if not resume:
            raise InputError(
                f"An interrupted run has finished {self.frames} frames of this output; go on with --resume, or begin "
                "anew with --overwrite."
            )
        other = [name for name in {**about, **found} if about.get(name) != found.get(name)]
        if other:
            raise InputError(
                f"The interrupted run had another {' and '.join(other)}: repeat it with the same, or begin anew with "
                "--overwrite and without --resume."
            )
        with self._path.open("r+b") as file:
            file.truncate(end)

    def append(self, clip: SegmentedClip, trackers: list[Hypotheses | None]) -> None:
        """Add a finished clip, and what the trackers knew after it."""
        record = {
            "names": [frame.name for frame in clip.frames],
            "times": [float(frame.time) for frame in clip.frames],
            "scores": clip.scores.tolist(),
            "counts": [[rle["counts"].decode("ascii") for rle in track] for track in clip.rles],
            "trackers": [None if state is None else state.as_json() for state in trackers],
        }
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self.frames += len(clip)

    def __iter__(self) -> Iterator[FinishedClip]:
        """All clips so far."""
        with self._path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield FinishedClip(json.loads(line))

    def close(self) -> None:
        """Let go of the file, which stays, unless no clip was finished."""
        self._file.close()
        if not self.frames:
            self.remove()

    def remove(self) -> None:
        """Close it, and take it from the disk."""
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ChangedVideoError(InputError):
    """The frames are no longer those that a journal is of, so that it cannot be gone on with."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"'{source}' has changed since the run was interrupted; begin anew with --overwrite and without --resume."
        )


class FinishedClip:
    """A clip as the journal has it."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.names: list[str] = record["names"]
        self.times: list[float] = record["times"]
        self.scores: list[list[float]] = record["scores"]
        self._counts, self._trackers = record["counts"], record["trackers"]

    def rles(self, size: tuple[int, int]) -> list[list[Rle]]:
        """rles[e][t], masks of (H, W)."""
        return [
            [{"size": list(size), "counts": counts.encode("ascii")} for counts in of_expression]
            for of_expression in self._counts
        ]

    def trackers(self) -> list[Hypotheses | None]:
        """What the trackers knew after it."""
        return [None if state is None else Hypotheses.from_json(state) for state in self._trackers]
