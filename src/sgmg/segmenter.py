"""A video and expressions in, a `Segmentation` out: everything between people's pixels and the network."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from sgmg.errors import InputError, InputWarning
from sgmg.model import PIXEL_DEVIATION, PIXEL_MEAN, ModelError, SgMg, TextFeatures, VisualFeatures
from sgmg.segmentation import Rle, Segmentation, encode_masks
from sgmg.video import Video, VideoSource, open_video

Dtype = Literal["float32", "bfloat16"]
Progress = Callable[[float, int | None], None]

DEFAULT_MODEL = "sgmg-lite"

_WEIGHTS = Path(__file__).parent / "weights"
# Full-size logits are made for this many frames at once; float32, four bytes a pixel.
_FRAMES_AT_ONCE = 4


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
    """

    def __init__(self, model: SgMg, device: str = "auto", dtype: Dtype = "float32", name: str = "unnamed") -> None:
        if dtype not in ("float32", "bfloat16"):
            raise InputError(f"'{dtype}' is no type to compute with; choose float32 or bfloat16.")
        self.device, self.dtype, self.name = _device(device), dtype, name
        self.model = model.to(self.device).eval()
        self._mean = torch.tensor(PIXEL_MEAN, device=self.device)[:, None, None]
        self._deviation = torch.tensor(PIXEL_DEVIATION, device=self.device)[:, None, None]

    @classmethod
    def from_pretrained(
        cls, model: str | Path | None = None, device: str = "auto", dtype: Dtype = "float32"
    ) -> Segmenter:
        """With a model from the package, a folder or the Hugging Face Hub.

        Args:
            model: a model folder, the name of an embedded model, or a Hub id; by default the embedded
                `sgmg-lite`.

        Raises:
            InputError: there is no such model, or it is incomplete; or no such device.
        """
        device = str(_device(device))  # before the work of loading
        embedded = _WEIGHTS / str(model or DEFAULT_MODEL)
        is_embedded = embedded.is_dir() and (model is None or not Path(model).exists())
        if model is None and not is_embedded:
            raise InputError(
                f"This installation has no embedded model '{DEFAULT_MODEL}'; name a model folder with --model."
            )
        folder = Path(model or "").expanduser()
        place = embedded if is_embedded else folder if folder.exists() else str(model)
        try:
            network = SgMg.from_pretrained(place)
        except ModelError as error:
            raise InputError(str(error)) from error
        return cls(network, device=device, dtype=dtype, name=str(model or DEFAULT_MODEL))

    def __call__(
        self,
        video: VideoSource,
        expressions: str | Sequence[str],
        clip_length: int | Literal["all"] = 36,
        short_side: int | None = None,
        long_side: int | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Segment one object for each expression in every frame.

        The video is decoded clip by clip. Memory grows with the clip's length (and, by a few hundred bytes
        a frame and expression, with the masks found), not with the video's.

        Args:
            video: a file, a folder of images, an array or tensor; see `sgmg.video.open_video`.
            expressions: sentences, each about one object.
            clip_length: frames that the network sees together; "all" for the whole video, 1 for single
                frames. In each clip the query with the best mean score is the object.
            short_side: frames are resized to this many pixels on their shorter side, unless that makes
            long_side: the longer one longer than this; by default the model's own sizes (mostly 360, 640).
            min_score: a frame that scores lower gets an empty mask, since the object may not be there; by
                default the model's own threshold.
            progress: called with (frames done, frames in all, or None if unknown) now and then; the frames
                done are fractional while a clip is worked on. What it raises ends the segmentation.

        Returns:
            the masks at the video's own size.

        Raises:
            InputError: the video cannot be read, or an argument cannot be used.
        """
        sentences = _checked(expressions)
        if clip_length != "all" and (not isinstance(clip_length, int) or clip_length < 1):
            raise InputError(f"A clip of {clip_length} frames is not possible; give 1 or more, or 'all'.")
        sides, threshold = self._sides(short_side, long_side), self._threshold(min_score)
        source = open_video(video)
        timeline, tracks = _Timeline(), [_Track() for _ in sentences]
        _report(progress, 0, source)
        with self._computing():
            texts, notes = self._encode_expressions(sentences)
            for clip in timeline.clips(source, None if clip_length == "all" else clip_length, sides):
                before, length = len(timeline) - len(clip), len(clip)
                visual = self._encode_clip(clip)
                found: list[_Track] = []
                for text in texts:
                    _report(progress, before + length * (len(found) + 1) / (len(sentences) + 1), source)
                    found += self._segment(visual, text, source.size, threshold)
                for track, part in zip(tracks, found, strict=True):
                    track.extend(part)
                _report(progress, len(timeline), source)
        if progress is not None:
            progress(len(timeline), len(timeline))
        return self._result(source, timeline, sentences, tracks, notes, clip_length, sides, threshold)

    def encode(self, clip: VideoSource, short_side: int | None = None, long_side: int | None = None) -> ClipFeatures:
        """Run the visual encoder over a clip, all of it at once, to ask about it often.

        >>> with segmenter.encode(clip) as features:
        ...     dog, ball = features.segment("the dog"), features.segment("the ball")
        """
        return ClipFeatures(self, open_video(clip), self._sides(short_side, long_side))

    # --- the steps, in order ----------------------------------------------------------------------------

    def _sides(self, short_side: int | None, long_side: int | None) -> tuple[int, int]:
        config = self.model.config
        sides = (
            config.short_side if short_side is None else short_side,
            config.long_side if long_side is None else long_side,
        )
        for side in sides:
            if not 16 <= side <= 8192:
                raise InputError(f"Frames cannot be resized to {side} pixels; give 16 to 8192.")
        return sides

    def _threshold(self, min_score: float | None) -> float:
        threshold = self.model.config.min_score if min_score is None else min_score
        if not 0 <= threshold <= 1:
            raise InputError(f"Scores lie between 0 and 1; a lowest score of {threshold} is not possible.")
        return float(threshold)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients, fixed algorithms, the chosen precision; running out of memory in a sentence."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.device.type == "cuda":
                stack.enter_context(_fixed_algorithms())
            if self.dtype == "bfloat16":
                stack.enter_context(torch.autocast(self.device.type, torch.bfloat16))
            try:
                yield
            except (RuntimeError, MemoryError) as error:
                if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "alloc" in str(error):
                    raise InputError(
                        "The memory is not enough for a clip of this length and size; "
                        "choose a smaller --clip-length or --short-side."
                    ) from error
                raise

    def _encode_expressions(self, sentences: Sequence[str]) -> tuple[list[TextFeatures], list[str]]:
        """Features of the expressions that go through the network together, and sentences on those that were cut.

        That is one expression at a time, so that memory does not grow with their number and no result depends on its
        neighbours; all of them where the model is made for it.
        """
        features, notes = [], []
        for together in [sentences] if self.model.config.multi_object else [[sentence] for sentence in sentences]:
            ids, attention = self.model.tokenize(list(together))
            for sentence, row, real in zip(together, ids, attention.bool(), strict=True):
                kept = self._kept_of(sentence, row[real].tolist())
                if kept is not None:
                    notes.append(
                        f"An expression is longer than the text encoder's {ids.shape[1]} tokens; kept was: '{kept}'."
                    )
                    warnings.warn(notes[-1], InputWarning, stacklevel=4)
            features.append(self.model.encode_text(ids, attention))
        return features, notes

    def _kept_of(self, sentence: str, ids: list[int]) -> str | None:
        """What truncation left of a sentence; None if all of it."""
        tokenizer = self.model.tokenizer
        if tokenizer is None or len(tokenizer(sentence, verbose=False)["input_ids"]) <= len(ids):
            return None
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _encode_clip(self, clip: Sequence[Tensor]) -> VisualFeatures:
        frames = torch.stack(list(clip)).to(self.device).float() / 255
        return self.model.encode_video(((frames - self._mean) / self._deviation)[None])

    def _segment(
        self, visual: VisualFeatures, text: TextFeatures, size: tuple[int, int], min_score: float
    ) -> list[_Track]:
        """Each expression in one clip: the best query's masks at the video's size."""
        tracks = []
        for scores, logits in zip(*self._best(visual, text), strict=True):
            rles: list[Rle] = []
            for index, part in _at_size(logits, size):
                rles += encode_masks((part > 0).cpu().numpy() & (scores[index] >= min_score)[:, None, None])
            tracks.append(_Track(scores.tolist(), rles))
        return tracks

    def _best(self, visual: VisualFeatures, text: TextFeatures) -> tuple[np.ndarray, Tensor]:
        """Each expression's best query's scores (E, T) and mask logits (E, T, h, w), at the network's size."""
        prediction = self.model.decode(visual, text)
        query = prediction.best_query()
        rows = torch.arange(len(query), device=query.device)
        scores = prediction.logits[rows, :, query, 0].float().sigmoid().cpu().numpy()
        return scores, self.model.optimise_masks(prediction, visual, query).float()

    def _all(self, visual: VisualFeatures, text: TextFeatures, size: tuple[int, int]) -> Candidates:
        """All queries of one frame, at the video's size."""
        prediction = self.model.decode(visual, text)
        scores = prediction.logits[0, 0, :, 0].float().sigmoid().cpu().numpy()  # (N,)
        queries = torch.arange(len(scores), device=self.device)[None]
        logits = self.model.optimise_masks(prediction, visual, queries)[0, :, 0].float()  # (N, h, w)
        masks = [(part > 0).cpu().numpy() for _, part in _at_size(logits, size)]
        return Candidates(np.concatenate(masks), scores)

    def _result(
        self,
        video: Video,
        timeline: _Timeline,
        sentences: list[str],
        tracks: list[_Track],
        notes: list[str],
        clip_length: int | Literal["all"],
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
            video=video,
            model=self.name,
            settings={
                "clip_length": clip_length,
                "short_side": sides[0],
                "long_side": sides[1],
                "min_score": min_score,
                "device": str(self.device),
                "dtype": self.dtype,
            },
            warnings=[*video.problems, *notes],
        )


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
        return self.masks[self.scores.argmax()]


class ClipFeatures:
    """An encoded clip, to be asked about again and again; a context manager that frees its memory."""

    def __init__(self, segmenter: Segmenter, video: Video, sides: tuple[int, int]) -> None:
        self._segmenter, self._video, self._sides = segmenter, video, sides
        self._timeline = _Timeline()
        with segmenter._computing():
            (clip,) = self._timeline.clips(video, None, sides)
            self._visual: VisualFeatures | None = segmenter._encode_clip(clip)

    def segment(self, expressions: str | Sequence[str], min_score: float | None = None) -> Segmentation:
        """Masks for one or several expressions; the visual encoder is not run again.

        Raises:
            InputError: an expression is empty.
            RuntimeError: the features were freed already.
        """
        visual, segmenter = self._encoded(), self._segmenter
        sentences, threshold = _checked(expressions), segmenter._threshold(min_score)
        with segmenter._computing():
            texts, notes = segmenter._encode_expressions(sentences)
            tracks = [t for text in texts for t in segmenter._segment(visual, text, self._video.size, threshold)]
        return segmenter._result(self._video, self._timeline, sentences, tracks, notes, "all", self._sides, threshold)

    def probabilities(self, expression: str, min_score: float | None = None) -> np.ndarray:
        """How probably each pixel is the object's: what `segment` cuts at 0.5.

        Returns:
            (T, H, W) float32 at the clip's own size; 0 in frames that score lower than `min_score`.

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
        with segmenter._computing():
            texts, _ = segmenter._encode_expressions(sentences)
        for text in texts:
            with segmenter._computing():
                results = zip(*segmenter._best(visual, text), strict=True)
            for scores, logits in results:
                found = np.empty((len(scores), *self._video.size), np.float32)
                with segmenter._computing():
                    for index, part in _at_size(logits, self._video.size):
                        found[index] = part.sigmoid().cpu().numpy()
                found[scores < threshold] = 0
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
        with self._asked(expression) as (visual, text):
            return self._segmenter._all(visual.select([frame]), text, self._video.size)

    @contextmanager
    def _asked(self, expression: str) -> Iterator[tuple[VisualFeatures, TextFeatures]]:
        """The features of the clip and of one expression, ready to compute with."""
        visual, sentences = self._encoded(), _checked(expression)
        with self._segmenter._computing():
            texts, _ = self._segmenter._encode_expressions(sentences)
            yield visual, texts[0]

    def _encoded(self) -> VisualFeatures:
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

    def clips(self, video: Video, length: int | None, sides: tuple[int, int]) -> Iterator[list[Tensor]]:
        """Read a video in clips of (3, h, w) uint8 frames at the network's size; None: in one clip."""
        size = network_size(video.size, *sides)
        clip: list[Tensor] = []
        for frame in video:
            self.times.append(frame.time)
            self.names.append(frame.name)
            clip.append(_resized(frame.image, size))
            if len(clip) == length:
                yield clip
                clip = []
        if clip:
            yield clip


def network_size(size: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width at which the network sees a video of a (height, width), keeping its proportions.

    >>> network_size((1080, 1920), 360, 640)
    (360, 640)
    """
    shorter, longer = min(size), max(size)
    target = short_side
    if longer / shorter * short_side > long_side:
        target = max(1, round(long_side * shorter / longer))
    across = max(1, int(target * longer / shorter))
    return (target, across) if size[0] == shorter else (across, target)


def _at_size(logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, Tensor]]:
    """Mask logits (n, h, w) resized to (H, W), a few at a time: (which, those)."""
    for start in range(0, len(logits), _FRAMES_AT_ONCE):
        index = slice(start, start + _FRAMES_AT_ONCE)
        yield index, F.interpolate(logits[index, None], size, mode="bilinear", align_corners=False)[:, 0]


def _resized(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) uint8 to (3, h, w) uint8, bilinear and antialiased, as published inference does."""
    pixels = torch.from_numpy(image if image.flags.writeable else image.copy()).permute(2, 0, 1)
    return transforms.resize(pixels, list(size), antialias=True)


def _checked(expressions: str | Sequence[str]) -> list[str]:
    sentences = [expressions] if isinstance(expressions, str) else list(expressions)
    if not sentences:
        raise InputError("There is no expression; say which object to segment, such as 'the dog'.")
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise InputError("An expression is empty; say which object to segment, such as 'the dog'.")
    return sentences


def _report(progress: Progress | None, done: float, video: Video) -> None:
    if progress is not None:
        # A file may hold more frames than it announces.
        progress(done, None if video.frame_count is None else max(video.frame_count, math.ceil(done)))


def _fixed_algorithms() -> AbstractContextManager[None]:
    """Of cuDNN's algorithms, only those that always give the same result; its other settings stay."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"The device '{name}' is not available here; choose auto or cpu.") from error
    return device
