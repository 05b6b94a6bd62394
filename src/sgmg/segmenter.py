"""A video and expressions in, a `Segmentation` out: everything between people's pixels and the network."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sgmg.clips import Cut, Plan, SegmentedClip, Sighting, Window, frames_shown, network_size, resized, windows
from sgmg.engines import Engine, Found
from sgmg.engines.onnx import is_exported
from sgmg.errors import InputError, InputWarning
from sgmg.formats import DEFAULT_FORMATS, choose_formats
from sgmg.journal import ChangedVideoError, FinishedClip
from sgmg.live import TIMEOUT, StreamSource, open_stream
from sgmg.output import check_output
from sgmg.paths import user_path
from sgmg.progress import Progress
from sgmg.segmentation import Rle, Segmentation, encode_masks
from sgmg.to_folder import OnFrame, Saved, segment_to_folder
from sgmg.tracking import IdentityTracker, Observation
from sgmg.video import Frame, Video, VideoSource, open_video

if TYPE_CHECKING:
    from sgmg.engines.pytorch import Dtype
    from sgmg.model import SgMg
    from sgmg.model.config import SgMgConfig

DEFAULT_MODEL = "sgmg-lite"

_log = logging.getLogger(__name__)
# Of an expression: no text encoder takes as many, and tokenizers are slow on more, or fail.
_MOST_CHARACTERS = 10_000
# Whose expressions' features are kept, where clips of many videos come in any order.
_VIDEOS_REMEMBERED = 16


class Segmenter:
    """Finds what sentences mean in videos.

    >>> segmenter = Segmenter.from_pretrained()
    >>> result = segmenter("dog.mp4", ["the dog", "the woman throwing a ball"])
    >>> result.masks.shape  # (expressions, frames, height, width)

    The same input gives the same output on the same device, and an expression's masks do not depend on
    which others are asked for beside it, unless the model is a multi-object one (`SgMgConfig.multi_object`): such a
    model looks for all expressions in one pass, in less time, and their order is what does not count.

    Args:
        model: the network; it is moved to `device` and put into evaluation mode.
        device: "auto" (CUDA, else MPS, else CPU), or a device as PyTorch names it.
        dtype: "float32", or "bfloat16" for matrix products in half the memory and, where the hardware has
            them, a multiple of the speed.
        name: what results call the model.

    Attributes:
        engine: what computes (`sgmg.engines`).
        name: what results call the model.
    """

    engine: Engine[Any, Any, Any, Any]

    def __init__(self, model: SgMg, device: str = "auto", dtype: Dtype = "float32", name: str = "unnamed") -> None:
        from sgmg.engines.pytorch import PyTorchEngine

        self.engine, self.name = PyTorchEngine(model, device, dtype), name

    @classmethod
    def of(cls, engine: Engine[Any, Any, Any, Any], name: str = "unnamed") -> Segmenter:
        """With an engine of any kind."""
        segmenter = cls.__new__(cls)
        segmenter.engine, segmenter.name = engine, name
        return segmenter

    @property
    def config(self) -> SgMgConfig:
        """What the network is made of."""
        return self.engine.config

    @property
    def model(self) -> SgMg:
        """The network itself.

        Raises:
            InputError: it is an exported one, of which there is only what its runtime holds.
        """
        from sgmg.engines.pytorch import PyTorchEngine

        if not isinstance(self.engine, PyTorchEngine):
            raise InputError(f"'{self.name}' is an exported model; this needs the model folder that it was made from.")
        return self.engine.model

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        device: str = "auto",
        dtype: Dtype = "float32",
        threads: int | None = None,
    ) -> Segmenter:
        """With a model from the package, a folder or the Hugging Face Hub.

        Args:
            model: a model folder (also one that `sgmg export onnx` wrote), the name of an embedded model, or a Hub id;
                by default the embedded `sgmg-lite`.
            device: "auto" (CUDA, else MPS, else CPU), or a device as PyTorch names it.
            dtype: "float32" or "bfloat16".
            threads: of the CPU, for all of PyTorch in this process; by default as it is.

        Raises:
            InputError: there is no such model, or it is incomplete; or no such device.
        """
        folder = user_path(model or "")
        if model is not None and is_exported(folder):
            if dtype != "float32" or device not in ("auto", "cpu"):
                raise InputError(f"'{model}' is an exported model: it runs on the CPU, in the type it was exported in.")
            return cls.from_onnx(folder, threads, str(model))
        from sgmg.engines.pytorch import PyTorchEngine, find_device
        from sgmg.model import ModelError, SgMg

        device = str(find_device(device))  # before the work of loading
        name = str(model or DEFAULT_MODEL)
        try:
            network = SgMg.from_pretrained(name)
        except ModelError as error:
            raise InputError(str(error)) from error
        _log.info("loaded %s for %s in %s", name, device, dtype)
        return cls.of(PyTorchEngine(network, device, dtype, threads), name)

    @classmethod
    def from_onnx(cls, folder: str | Path, threads: int | None = None, name: str | None = None) -> Segmenter:
        """With a model that `sgmg export onnx` wrote: ONNX Runtime computes, and PyTorch is not needed.

        >>> segmenter = Segmenter.from_onnx("sgmg-lite-onnx")

        Args:
            folder: what the export wrote.
            threads: of the CPU; by default as many as there are cores.
            name: what results call the model; by default the folder's name.

        Raises:
            InputError: there is no such folder, a file is missing or damaged, or ONNX Runtime is not installed.
        """
        from sgmg.engines.onnx import OnnxEngine

        return cls.of(OnnxEngine(Path(folder), threads), name or str(folder))

    def __call__(
        self,
        video: VideoSource,
        expressions: str | Sequence[str],
        clip_length: int | Literal["all"] = 36,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        *,
        overlap: int | None = None,
        every: int = 1,
    ) -> Segmentation:
        """Segment one object for each expression in every frame.

        The video is decoded clip by clip. Memory grows with the clip's length (and, by a few hundred bytes
        a frame and expression, with the masks found), not with the video's.

        Args:
            video: a file, a folder of images, an array or tensor; see `sgmg.video.open_video`.
            expressions: sentences, each about one object.
            clip_length: frames that the network sees together; "all" for the whole video, 1 for single
                frames. In the first clip the query with the best mean score is the object.
            short_side: pixels on the shorter side that frames are resized to for the network; by default the
                model's own.
            long_side: pixels that the longer side has at most then; by default the model's own.
            min_score: masks are empty in a clip whose best frame scores lower, since the object may not be there, and
                in frames that score less than half of it (`sgmg.clips.frames_shown`); by default the model's own.
            progress: called with (frames done, frames in all, or None if unknown) now and then; the frames
                done are fractional while a clip is worked on. What it raises ends the segmentation.
            overlap: frames that a clip shares with the one before, so that one object keeps its identity over
                clips (see `sgmg.tracking`); 0 makes clips independent. By default a sixth of a clip for models
                with several queries, and 0 for those with one, which have nothing to choose from.
            every: only every N-th frame is given to the network; those between repeat the masks and scores of
                the last one that was.

        Returns:
            the masks at the video's own size.

        Raises:
            InputError: the video cannot be read, or an argument cannot be used.
        """
        run = self.clips(
            video,
            expressions,
            clip_length,
            short_side,
            long_side,
            min_score,
            progress,
            overlap=overlap,
            every=every,
        )
        for _ in run:
            pass
        return run.result()

    def clips(
        self,
        video: VideoSource,
        expressions: str | Sequence[str],
        clip_length: int | Literal["all"] = 36,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        *,
        overlap: int | None = None,
        every: int = 1,
        keep_images: bool = False,
    ) -> ClipRun:
        """The same as a call, clip by clip: what was found can be shown while the rest is still worked on.

        >>> run = segmenter.clips("dog.mp4", ["the dog"], keep_images=True)
        >>> for clip in run:
        ...     for index, frame in enumerate(clip.frames):
        ...         show(frame.image, clip.masks_of(index), f"{frame.time} s")  # (H, W, 3), (1, H, W)
        >>> result = run.result()  # a Segmentation of all clips so far, as the call gives it

        Leaving the loop early ends the work; `run.result()` is then the part that is done.

        Args:
            keep_images: give the frames' images with each clip (`SegmentedClip.frames`); they are let go of with it.

        The other arguments are those of a call.

        Raises:
            InputError: the video cannot be read, or an argument cannot be used.
        """
        sentences = _checked(expressions)
        cut = Cut(clip_length, self._overlap(clip_length, overlap), every)
        sides, threshold = self._sides(short_side, long_side), self._threshold(min_score)
        return ClipRun(self, open_video(video), sentences, cut, sides, threshold, progress, keep_images)

    def to_folder(
        self,
        video: VideoSource,
        expressions: str | Sequence[str],
        folder: str | Path,
        format: str | Sequence[str] = DEFAULT_FORMATS,
        clip_length: int | Literal["all"] = 36,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        *,
        overlap: int | None = None,
        every: int = 1,
        overwrite: bool = False,
        resume: bool = False,
        on_frame: OnFrame | None = None,
    ) -> Saved:
        """The same as a call and `Segmentation.save`, clip by clip: an hour of video needs the memory of a minute.

        >>> segmenter.to_folder("film.mkv", ["the dog"], "out", resume=True)

        What is finished is kept on disk until all is; see `sgmg.to_folder`.

        Args:
            folder: made by this; its parents too. It appears only when all of it is written.
            format: names from `sgmg.formats.FORMATS`.
            overwrite: replace an earlier result, and, without `resume`, what an interrupted run left.
            resume: go on where a run with the same arguments was interrupted, if one was. The result is the same as
                if it had not been.
            on_frame: called with each frame (a `sgmg.formats.frames.FoundFrame`) when it has been written.

        The other arguments are those of a call; of videos that are read only once (`sgmg.live.open_stream`), images
        are kept for the clip at hand.

        Raises:
            InputError: the video cannot be read, the folder exists, the disk is full, an argument cannot be used, or
                an interrupted run of this folder was another, or is not to be gone on with.
        """
        formats, source = choose_formats(format), open_video(video)
        place = check_output(folder, overwrite)
        sentences = _checked(expressions)
        cut = Cut(clip_length, self._overlap(clip_length, overlap), every)
        sides, threshold = self._sides(short_side, long_side), self._threshold(min_score)
        keep_images = not source.can_be_read_again
        run = ClipRun(self, source, sentences, cut, sides, threshold, progress, keep_images, keep_masks=False)
        return segment_to_folder(run, place, formats, overwrite, resume, on_frame)

    def stream(
        self,
        frames: StreamSource,
        expressions: str | Sequence[str],
        clip_length: int = 8,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        *,
        overlap: int | None = None,
        every: int = 1,
        timeout: float = TIMEOUT,
    ) -> Stream:
        """Frames in, masks out, for as long as frames come, in memory that does not grow.

        >>> for frame, masks in segmenter.stream("/dev/video0", ["the dog"]):
        ...     show(frame.image, masks)  # (H, W, 3) uint8, (1, H, W) bool

        The network sees `clip_length` frames together, so the masks of a frame come when the clip is complete: at most
        `clip_length * every - 1` frames later (`Stream.delay`; 7 by default), plus the time the clip takes. A camera or
        network stream that is faster than that loses frames, which `Stream.dropped` counts; everything else waits.

        Args:
            frames: an iterable of (H, W, 3) or (3, H, W) arrays or tensors or of PIL images, asked for one frame after
                the other; a camera ("/dev/video0"), an address ("rtsp://…"), "-" for a video on standard input, an
                open binary file; or any video. See `sgmg.live.open_stream`.
            clip_length: frames that the network sees together. Longer clips know more of how things move, and come
                later.
            overlap: frames that a clip shares with the one before. They cost time, and come in less delay: after the
                first clip `overlap * every` frames less.
            timeout: seconds after which a camera, address or pipe that gives no frame has stalled, which is an error.

        The other arguments are those of a call.

        Returns:
            an iterator over pairs of a `sgmg.video.Frame` (image, time, name) and its masks (E, H, W) bool.

        Raises:
            InputError: there is no such source, it stalls, or an argument cannot be used.
        """
        sentences = _checked(expressions)
        if not isinstance(clip_length, int):
            raise InputError("A stream may have no end; give a clip_length in frames.")
        cut = Cut(clip_length, self._overlap(clip_length, overlap), every)
        sides, threshold = self._sides(short_side, long_side), self._threshold(min_score)
        video = open_stream(frames, timeout=timeout, waiting=clip_length * every)
        return Stream(ClipRun(self, video, sentences, cut, sides, threshold, None, keep_images=True, keep_masks=False))

    def encode(self, clip: VideoSource, short_side: int | None = None, long_side: int | None = None) -> ClipFeatures:
        """Run the visual encoder over a clip, all of it at once, to ask about it often.

        >>> with segmenter.encode(clip) as features:
        ...     dog, ball = features.segment("the dog"), features.segment("the ball")

        Args:
            clip: what `sgmg.video.open_video` takes; memory grows with its length.
            short_side: as for a call of the segmenter.
            long_side: as for a call of the segmenter.

        Raises:
            InputError: the clip cannot be read, or a side cannot be used.
        """
        return ClipFeatures(self, open_video(clip), self._sides(short_side, long_side))

    def plan(
        self,
        clip_length: int | Literal["all"] = 36,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        *,
        overlap: int | None = None,
        every: int = 1,
    ) -> Plan:
        """What a call with these arguments does to any video, for clips that are segmented apart (`sgmg.scattered`).

        Raises:
            InputError: an argument cannot be used.
        """
        cut = Cut(clip_length, self._overlap(clip_length, overlap), every)
        return Plan(cut, self._sides(short_side, long_side), self._threshold(min_score))

    # --- the steps, in order ----------------------------------------------------------------------------

    def _sides(self, short_side: int | None, long_side: int | None) -> tuple[int, int]:
        config = self.config
        sides = (
            config.short_side if short_side is None else short_side,
            config.long_side if long_side is None else long_side,
        )
        for side in sides:
            if not 16 <= side <= 8192:
                raise InputError(f"Frames cannot be resized to {side} pixels; give 16 to 8192.")
        return sides

    def _threshold(self, min_score: float | None) -> float:
        threshold = self.config.min_score if min_score is None else min_score
        if not 0 <= threshold <= 1:
            raise InputError(f"Scores lie between 0 and 1; a lowest score of {threshold} is not possible.")
        return float(threshold)

    def _overlap(self, clip_length: int | Literal["all"], overlap: int | None) -> int:
        if overlap is not None:
            return overlap
        chooses = self.config.queries > 1 and isinstance(clip_length, int)
        return clip_length // 6 if chooses and isinstance(clip_length, int) else 0

    def _encode_expressions(self, sentences: Sequence[str]) -> tuple[list[Any], list[str]]:
        """Features of the expressions that go through the network together, and sentences on those that were cut.

        That is one expression at a time, so that memory does not grow with their number and no result depends on its
        neighbours; all of them where the model is made for it.
        """
        features, notes = [], []
        for together in [sentences] if self.config.multi_object else [[sentence] for sentence in sentences]:
            tokens = self.engine.tokenize([sentence[:_MOST_CHARACTERS] for sentence in together])
            for sentence, kept in zip(together, tokens.kept, strict=True):
                if kept is not None:
                    most = f"the text encoder's {tokens.ids.shape[1]} tokens; kept was: '{kept}'"
                elif sentence[_MOST_CHARACTERS:].strip():
                    most = f"{_MOST_CHARACTERS} characters; what follows was left out"
                else:
                    continue
                notes.append(f"An expression is longer than {most}.")
                warnings.warn(notes[-1], InputWarning, stacklevel=4)
            features.append(self.engine.encode_text(tokens))
        return features, notes

    def _best(self, visual: Any, text: Any) -> tuple[np.ndarray, Any]:
        """Each expression's best query's scores (E, T) and mask logits (E, T, h, w), at the network's size."""
        found = self.engine.decode(visual, text)
        return self._of_query(found, visual, found.best)

    def _of_query(self, found: Found[Any], visual: Any, query: np.ndarray) -> tuple[np.ndarray, Any]:
        """The scores (E, T) and mask logits (E, T, h, w) of one query (E,) for each expression."""
        scores = found.scores[np.arange(len(query)), :, query]
        return scores, self.engine.masks(found, visual, query)

    def _tracks(
        self,
        found: Found[Any],
        visual: Any,
        query: np.ndarray,
        size: tuple[int, int],
        min_score: float,
        known: int = 0,
    ) -> list[_Track]:
        """What one query (E,) finds for each expression in the frames of a clip after the first ones, already known.

        All frames of the clip decide whether an object is there; in those that do not show it its mask is empty.
        """
        tracks = []
        for scores, logits in zip(*self._of_query(found, visual, query), strict=True):
            rles: list[Rle] = []
            shown = frames_shown(scores, min_score)[known:]
            for index, masks in self.engine.cut_at_size(logits[known:], size):
                rles += encode_masks(masks & shown[index, None, None])
            tracks.append(_Track(scores[known:].tolist(), rles))
        return tracks

    def _result(
        self,
        video: Video,
        timeline: _Timeline,
        sentences: list[str],
        tracks: list[_Track],
        notes: list[str],
        cut: Cut,
        sides: tuple[int, int],
        min_score: float,
    ) -> Segmentation:
        return Segmentation(
            expressions=sentences,
            rles=[track.rles for track in tracks],
            frame_scores=np.array([track.scores for track in tracks], np.float32),
            size=video.size,
            fps=video.fps,
            times=np.array(timeline.times, np.float64),
            frame_names=timeline.names,
            source=video.source,
            video=video if video.can_be_read_again else None,
            model=self.name,
            settings=self._settings(cut, sides, min_score),
            warnings=[*video.problems, *notes],
        )

    def _settings(self, cut: Cut, sides: tuple[int, int], min_score: float) -> dict[str, Any]:
        """What a result depends on, for people and for runs that go on."""
        return {
            "clip_length": cut.length,
            "overlap": cut.overlap,
            "every": cut.every,
            "short_side": sides[0],
            "long_side": sides[1],
            "min_score": min_score,
            "device": self.engine.device,
            "dtype": self.engine.dtype,
        }


class ClipRun(Iterator[SegmentedClip]):
    """A segmentation under way, stepped clip by clip by iterating; made by `Segmenter.clips`.

    All that goes from one clip to the next is here: the frames that the next clip shares (in the windows), the
    expressions' features, and an `IdentityTracker` for each expression.

    Attributes:
        video: what is segmented.
        expressions: the E sentences.
        cut: how the video is cut into clips.
        trackers: E of them; what they know of the clips so far.
        done: frames so far.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        video: Video,
        sentences: list[str],
        cut: Cut,
        sides: tuple[int, int],
        min_score: float,
        progress: Progress | None,
        keep_images: bool,
        keep_masks: bool = True,
    ) -> None:
        self.video, self.expressions, self.cut = video, sentences, cut
        self.trackers = [IdentityTracker() for _ in sentences]
        self._segmenter, self._sides, self._min_score = segmenter, sides, min_score
        self._progress, self._keep_masks = progress, keep_masks
        self.done = 0
        self._earlier: Iterator[FinishedClip] = iter(())
        self._last_earlier: FinishedClip | None = None
        self._timeline, self._tracks = _Timeline(), [_Track() for _ in sentences]
        _report(progress, 0, video)
        with segmenter.engine.computing():
            self._texts, self._notes = segmenter._encode_expressions(sentences)
        size = network_size(video.size, *sides)
        self._windows = windows(video, cut, lambda image: resized(image, size), keep_images)

    def __next__(self) -> SegmentedClip:
        window, earlier = next(self._windows, None), next(self._earlier, None)
        if window is None:
            if earlier is not None:
                raise ChangedVideoError(self.video.source)
            _report_end(self._progress, self.done)
            raise StopIteration
        if earlier is not None:
            tracks = self._taken_over(earlier, window)
        else:
            if self._last_earlier is not None:
                for tracker, state in zip(self.trackers, self._last_earlier.trackers(), strict=True):
                    tracker.state = state
                self._last_earlier = None
            with self._segmenter.engine.computing():
                found = self._step(window)
            tracks = [_Track([t.scores[i] for i in window.seen], [t.rles[i] for i in window.seen]) for t in found]
        clip = SegmentedClip(
            start=self.done,
            frames=window.frames,
            scores=np.array([track.scores for track in tracks], np.float32),
            rles=[track.rles for track in tracks],
            repeated=np.diff(window.seen, prepend=-1) == 0,
            size=self.video.size,
        )
        self.done += len(clip)
        if self._keep_masks:
            self._keep(clip, tracks)
        _report(self._progress, self.done, self.video)
        return clip

    def go_on_after(self, earlier: Iterator[FinishedClip]) -> None:
        """Take the first clips from what an earlier run has finished (`sgmg.journal`) instead of looking at them again.

        To be called before the first clip. If the frames are not those of the earlier run, iterating tells.
        """
        self._earlier = earlier

    def about(self) -> dict[str, Any]:
        """What the masks depend on, as plain values."""
        return {
            "source": str(self.video.path or self.video.source),
            "size": list(self.video.size),
            "expressions": self.expressions,
            "model": self._segmenter.engine.digest(),
            **self._segmenter._settings(self.cut, self._sides, self._min_score),
        }

    def _taken_over(self, earlier: FinishedClip, window: Window) -> list[_Track]:
        times = [float(frame.time) for frame in window.frames]
        if ([frame.name for frame in window.frames], times) != (earlier.names, earlier.times):
            raise ChangedVideoError(self.video.source)
        self._last_earlier = earlier
        rles = earlier.rles(self.video.size)
        return [_Track(scores, masks) for scores, masks in zip(earlier.scores, rles, strict=True)]

    def _keep(self, clip: SegmentedClip, tracks: list[_Track]) -> None:
        for frame in clip.frames:
            self._timeline.add(frame)
        for track, part in zip(self._tracks, tracks, strict=True):
            track.extend(part)

    def result(self) -> Segmentation:
        """What was found in the clips so far, as a call of the segmenter gives it."""
        sides, timeline = self._sides, _Timeline(list(self._timeline.times), list(self._timeline.names))
        tracks = [_Track(list(track.scores), list(track.rles)) for track in self._tracks]
        notes = [*self._notes, *_note_on_repetition(self.cut.every)]
        return self._segmenter._result(
            self.video, timeline, self.expressions, tracks, notes, self.cut, sides, self._min_score
        )

    def _step(self, window: Window) -> list[_Track]:
        """Each expression's masks in the frames that the network has not seen before."""
        segmenter = self._segmenter
        visual, of_texts = segmenter.engine.find(
            window.pixels,
            self._texts,
            lambda share: _report(self._progress, self.done + share * len(window.frames), self.video),
        )
        tracks: list[_Track] = []
        for found in of_texts:
            query = self._choose(found, window.known, len(tracks))
            tracks += segmenter._tracks(found, visual, query, self.video.size, self._min_score, window.known)
        return tracks

    def _choose(self, found: Found[Any], known: int, first: int) -> np.ndarray:
        """The query of each of some expressions, of which the first has the tracker with index `first`."""
        if not self.cut.overlap:
            return found.best
        seen = _observations(self._segmenter.engine, found, known, self.cut.overlap)
        trackers = self.trackers[first : first + len(seen)]
        chosen = [tracker.step(o.scores, o.shared, o.last) for tracker, o in zip(trackers, seen, strict=True)]
        return np.array(chosen, np.int64)


def _observations(engine: Engine[Any, Any, Any, Any], found: Found[Any], known: int, overlap: int) -> list[Observation]:
    """What the trackers of E expressions are to know of a clip that shares `known` frames with the one before."""
    masks = engine.patches(found)  # (E, N, T, h, w)
    of_all = zip(found.scores.mean(1), masks[:, :, :known], masks[:, :, -overlap:], strict=True)
    return [Observation(*of_one) for of_one in of_all]


class ClipLooker:
    """Looks at clips of any videos, each by itself and in any order; `sgmg.scattered` puts together what it finds.

    Which query is the object is known only when the clips before have been looked at. So where clips overlap, the masks
    of all N queries are made, N times the work of a run (`ClipRun`) in this last and smaller part of the network.

    Args:
        segmenter: the network.
        plan: how videos are cut, resized and thresholded; the same that the clips were cut with.
    """

    def __init__(self, segmenter: Segmenter, plan: Plan) -> None:
        self._segmenter, self._plan = segmenter, plan
        self._texts: dict[tuple[str, ...], tuple[list[Any], list[str]]] = {}

    @property
    def about(self) -> dict[str, Any]:
        """The model's name and the settings, as results have them."""
        plan = self._plan
        settings = self._segmenter._settings(plan.cut, plan.sides, plan.min_score)
        return {"model": self._segmenter.name, "settings": settings}

    def __call__(
        self, window: Window, expressions: Sequence[str], size: tuple[int, int]
    ) -> tuple[list[Sighting], list[str]]:
        """What the network finds in a clip, for each expression; and what the result is to say of warnings.

        Args:
            window: the clip.
            expressions: E sentences.
            size: (H, W) of the video.

        Raises:
            InputError: an expression cannot be used, or the memory is not enough.
        """
        engine, cut, sightings = self._segmenter.engine, self._plan.cut, []
        with engine.computing():
            texts, notes = self._encoded(tuple(_checked(expressions)))
            visual, of_texts = engine.find(window.pixels, texts)
            for found in of_texts:
                queries, observations = [found.best], None
                if cut.overlap:
                    count, each = len(found.best), range(found.scores.shape[2])
                    queries = [np.full(count, query) for query in each]
                    observations = _observations(engine, found, window.known, cut.overlap)
                tracks = [
                    self._segmenter._tracks(found, visual, query, size, self._plan.min_score, window.known)
                    for query in queries
                ]
                for index, of_one in enumerate(zip(*tracks, strict=True)):
                    scores = np.array([track.scores for track in of_one], np.float32)
                    observation = None if observations is None else observations[index]
                    sightings.append(Sighting(scores, [track.rles for track in of_one], observation))
        return sightings, [*notes, *_note_on_repetition(cut.every)]

    def _encoded(self, sentences: tuple[str, ...]) -> tuple[list[Any], list[str]]:
        """Features of the expressions of the video at hand, which mostly is that of the clip before."""
        if sentences not in self._texts:
            if len(self._texts) == _VIDEOS_REMEMBERED:
                self._texts.clear()
            self._texts[sentences] = self._segmenter._encode_expressions(sentences)
        return self._texts[sentences]


class Stream(Iterator[tuple[Frame, np.ndarray]]):
    """Frames and their masks, as they come; made by `Segmenter.stream`."""

    def __init__(self, run: ClipRun) -> None:
        self._run = run
        self._ready: Iterator[tuple[Frame, np.ndarray]] = iter(())

    @property
    def video(self) -> Video:
        """Where the frames come from: size, rate, problems."""
        return self._run.video

    @property
    def delay(self) -> int:
        """After how many further frames, at most, the masks of a frame come."""
        assert self._run.cut.delay is not None
        return self._run.cut.delay

    @property
    def dropped(self) -> int:
        """Frames so far that the source gave while the network was busy, and that were passed over."""
        return self._run.video.dropped

    def __next__(self) -> tuple[Frame, np.ndarray]:
        while True:
            pair = next(self._ready, None)
            if pair is not None:
                return pair
            clip = next(self._run)
            self._ready = ((frame, clip.masks_of(index)) for index, frame in enumerate(clip.frames))


@dataclass(frozen=True)
class Candidates:
    """What all N queries say of one frame.

    Attributes:
        masks: (N, H, W) bool, at the frame's own size.
        scores: (N,) float32 in [0, 1], how sure the model is that each is the object.
    """

    masks: np.ndarray
    scores: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """(H, W) bool, the mask that scores highest."""
        best: np.ndarray = self.masks[self.scores.argmax()]
        return best


class ClipFeatures:
    """An encoded clip, to be asked about again and again; a context manager that frees its memory."""

    def __init__(self, segmenter: Segmenter, video: Video, sides: tuple[int, int]) -> None:
        self._segmenter, self._video, self._sides = segmenter, video, sides
        self._timeline = _Timeline()
        size, clip = network_size(video.size, *sides), []
        for frame in video:
            self._timeline.add(frame)
            clip.append(resized(frame.image, size))
        with segmenter.engine.computing():
            self._visual: Any = segmenter.engine.encode_clip(clip)

    def segment(self, expressions: str | Sequence[str], min_score: float | None = None) -> Segmentation:
        """Masks for one or several expressions; the visual encoder is not run again.

        Args:
            expressions: sentences, each about one object.
            min_score: as for `Segmenter`, of the whole clip; by default the model's own threshold.

        Raises:
            InputError: an expression is empty.
            RuntimeError: the features were freed already.
        """
        visual, segmenter = self._encoded(), self._segmenter
        sentences, threshold = _checked(expressions), segmenter._threshold(min_score)
        with segmenter.engine.computing():
            texts, notes = segmenter._encode_expressions(sentences)
            tracks: list[_Track] = []
            for text in texts:
                found = segmenter.engine.decode(visual, text)
                tracks += segmenter._tracks(found, visual, found.best, self._video.size, threshold)
        cut = Cut("all")
        return segmenter._result(self._video, self._timeline, sentences, tracks, notes, cut, self._sides, threshold)

    def probabilities(self, expression: str, min_score: float | None = None) -> np.ndarray:
        """How probably each pixel is the object's: what `segment` cuts at 0.5.

        Returns:
            (T, H, W) float32 at the clip's own size; 0 in frames whose mask `min_score` leaves empty.

        Raises:
            InputError: the expression is empty.
            RuntimeError: the features were freed already.
        """
        return next(self.each_probability([expression], min_score))

    def each_probability(
        self, expressions: str | Sequence[str], min_score: float | None = None
    ) -> Iterator[np.ndarray]:
        """`probabilities` of several expressions, one array after another: together they may be large.

        A multi-object model looks for all of them in one pass.
        """
        visual, segmenter = self._encoded(), self._segmenter
        sentences, threshold = _checked(expressions), segmenter._threshold(min_score)
        with segmenter.engine.computing():
            texts, _ = segmenter._encode_expressions(sentences)
        for text in texts:
            with segmenter.engine.computing():
                results = zip(*segmenter._best(visual, text), strict=True)
            for scores, logits in results:
                found = np.empty((len(scores), *self._video.size), np.float32)
                with segmenter.engine.computing():
                    for index, part in segmenter.engine.probable_at_size(logits, self._video.size):
                        found[index] = part
                found[~frames_shown(scores, threshold)] = 0
                yield found

    def candidates(self, expression: str, frame: int = 0) -> Candidates:
        """All N masks of one frame with their scores, as benchmarks that rank masks ask for.

        The encoder saw the whole clip; only this frame's features go on, as published for clips with one
        annotated frame.

        Args:
            expression: the sentence.
            frame: index into the clip.

        Raises:
            InputError: the expression is empty.
            IndexError: the clip has no such frame.
            RuntimeError: the features were freed already.
        """
        visual, sentences, segmenter = self._encoded(), _checked(expression), self._segmenter
        engine = segmenter.engine
        with engine.computing():
            texts, _ = segmenter._encode_expressions(sentences)
            of_frame = engine.select(visual, [frame])
            found = engine.decode(of_frame, texts[0])
            parts = engine.cut_at_size(engine.every_mask(found, of_frame), self._video.size)
            return Candidates(np.concatenate([masks for _, masks in parts]), found.scores[0, 0])

    def _encoded(self) -> Any:
        if self._visual is None:
            raise RuntimeError("these features are freed; ask inside of the `with` block")
        return self._visual

    def free(self) -> None:
        """Let go of the features' memory."""
        self._visual = None

    def __enter__(self) -> ClipFeatures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()


@dataclass
class _Track:
    """One expression's masks and scores so far."""

    scores: list[float] = field(default_factory=list)
    rles: list[Rle] = field(default_factory=list)

    def extend(self, other: _Track) -> None:
        self.scores += other.scores
        self.rles += other.rles


@dataclass
class _Timeline:
    """The frames read so far: when and what they were, without their pixels."""

    times: list[Fraction] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)

    def add(self, frame: Frame) -> None:
        self.times.append(frame.time)
        self.names.append(frame.name)


def _checked(expressions: str | Sequence[str]) -> list[str]:
    sentences = [expressions] if isinstance(expressions, str) else list(expressions)
    if not sentences:
        raise InputError("There is no expression; say which object to segment, such as 'the dog'.")
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise InputError("An expression is empty; say which object to segment, such as 'the dog'.")
        if any("\ud800" <= character <= "\udfff" for character in sentence):
            raise InputError("An expression holds half a character (not valid Unicode); type it anew.")
    return sentences


def _report(progress: Progress | None, done: float, video: Video) -> None:
    if progress is not None:
        # A file may hold more frames than it announces.
        progress(done, None if video.frame_count is None else max(video.frame_count, math.ceil(done)))


def _report_end(progress: Progress | None, count: int) -> None:
    if progress is not None:
        progress(count, count)


def _note_on_repetition(every: int) -> list[str]:
    if every == 1:
        return []
    return [f"One frame in {every} was segmented; the frames between repeat the masks of the last one that was."]
