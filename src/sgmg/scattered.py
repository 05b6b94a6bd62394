"""Clips of a video that are segmented apart, in any order and on any machine, and put together again.

A run over a video (`sgmg.segmenter.ClipRun`) needs two things of the clip before: the frames that both share, and which
query was the object. `cut_apart` gives every clip its shared frames; a `ClipLooker` keeps what each query finds, and by
what one is to be chosen; and `JoinedRun` chooses, from the first clip to the last. Its masks are the run's, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sgmg.clips import Plan, SegmentedClip, Sighting, Window, network_size, resized, windows
from sgmg.journal import FinishedClip
from sgmg.segmentation import Rle, Segmentation
from sgmg.tracking import IdentityTracker, Observation
from sgmg.video import Frame, Video


def cut_apart(video: Video, plan: Plan) -> Iterator[Window]:
    """The clips of a video, one after the other, each with all that the network is to see."""
    size = network_size(video.size, *plan.sides)
    return windows(video, plan.cut, lambda image: resized(image, size), keep_images=False)


@dataclass(frozen=True)
class SeenClip:
    """What was found in a clip before it is known which query is the object; E expressions, T new frames.

    Attributes:
        frames: the T frames, without images.
        seen: for each of them, which of those that the network saw gives it its masks.
        sightings: E of them.
    """

    frames: list[Frame]
    seen: list[int]
    sightings: list[Sighting]

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes exactly this clip again."""
        return {
            "names": [frame.name for frame in self.frames],
            "times": [str(frame.time) for frame in self.frames],
            "durations": [str(frame.duration) for frame in self.frames],
            "seen": self.seen,
            "sightings": [
                {
                    "scores": sighting.scores.tolist(),
                    "counts": [[rle["counts"].decode("ascii") for rle in track] for track in sighting.rles],
                    "observation": None if sighting.observation is None else sighting.observation.as_json(),
                }
                for sighting in self.sightings
            ],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], size: tuple[int, int]) -> SeenClip:
        """The reverse of `as_json`, for a video of (H, W)."""
        stamps = zip(values["names"], values["times"], values["durations"], strict=True)
        sightings = []
        for record in values["sightings"]:
            observation = record["observation"]
            sightings.append(
                Sighting(
                    np.array(record["scores"], np.float32),
                    [
                        [{"size": list(size), "counts": counts.encode("ascii")} for counts in track]
                        for track in record["counts"]
                    ],
                    None if observation is None else Observation.from_json(observation),
                )
            )
        return cls(frames_without_images(stamps), values["seen"], sightings)


def frames_without_images(stamps: Iterable[tuple[str, str, str]]) -> list[Frame]:
    """Frames of their names, times and durations, these as exact fractions of seconds such as "1/24"."""
    none = np.zeros((0, 0, 3), np.uint8)
    return [Frame(none, Fraction(time), Fraction(duration), name) for name, time, duration in stamps]


class JoinedRun(Iterator[SegmentedClip]):
    """A run over clips that were looked at apart: it goes through them in order and says which query is the object.

    It stands in for a `ClipRun` in `sgmg.to_folder`, so that what is written is the same too.

    Args:
        video: what was segmented. Its frames are read only for formats that need them.
        expressions: E sentences.
        clips: all of it, in order.
        model: the model's name.
        settings: as `ClipLooker.about` has them.
        warnings: what the result is to say was lost or cut.
    """

    def __init__(
        self,
        video: Video,
        expressions: list[str],
        clips: Iterable[SeenClip],
        model: str,
        settings: dict[str, Any],
        warnings: list[str],
    ) -> None:
        self.video, self.expressions = video, expressions
        self.trackers = [IdentityTracker() for _ in expressions]
        self.done = 0
        self._clips = iter(clips)
        self._model, self._settings, self._warnings = model, settings, warnings

    def __next__(self) -> SegmentedClip:
        clip = next(self._clips)
        scores, rles = [], []
        for tracker, sighting in zip(self.trackers, clip.sightings, strict=True):
            seen, query = sighting.observation, 0
            if seen is not None:
                query = tracker.step(seen.scores, seen.shared, seen.last)
            scores.append([sighting.scores[query][index] for index in clip.seen])
            rles.append([sighting.rles[query][index] for index in clip.seen])
        found = SegmentedClip(
            start=self.done,
            frames=clip.frames,
            scores=np.array(scores, np.float32),
            rles=rles,
            repeated=np.diff(clip.seen, prepend=-1) == 0,
            size=self.video.size,
        )
        self.done += len(found)
        return found

    def go_on_after(self, earlier: Iterator[FinishedClip]) -> None:
        """There is nothing to go on with: clips that are joined need no work that could have been interrupted."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """What the masks depend on, as plain values."""
        return {"source": self.video.source, "expressions": self.expressions, "model": self._model, **self._settings}

    def result(self) -> Segmentation:
        """What results say of the run; the frames are in its clips."""
        nothing: list[list[Rle]] = [[] for _ in self.expressions]
        return Segmentation(
            expressions=self.expressions,
            rles=nothing,
            frame_scores=np.zeros((len(nothing), 0), np.float32),
            size=self.video.size,
            fps=self.video.fps,
            times=np.zeros(0),
            frame_names=[],
            source=self.video.source,
            model=self._model,
            settings=self._settings,
            warnings=list(self._warnings),
        )
