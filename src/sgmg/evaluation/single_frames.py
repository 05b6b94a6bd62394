"""The protocol of A2D-Sentences, JHMDB-Sentences and RefCOCO: one annotated frame and all N masks a sentence."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sgmg.data.benchmarks import Samples
from sgmg.data.coco_masks import decode_segmentation
from sgmg.data.extras import import_extra
from sgmg.data.sample import Sample, plain_sentence
from sgmg.errors import InputError
from sgmg.evaluation.instances import Answer, InstanceEvaluation
from sgmg.output import check_output, new_folder
from sgmg.segmentation import Rle, encode_masks

if TYPE_CHECKING:
    from sgmg.segmenter import ClipFeatures, Segmenter

RESULTS = "predictions.json"
"""COCO results, in a folder of kept predictions."""

SAMPLES_AHEAD = 4
"""Samples that are read while the network computes."""


class Predictor(Protocol):
    """Where masks come from: a model, or a file."""

    def __call__(self, sample_id: str, sample: Sample) -> tuple[list[Rle], list[float]]:
        """N masks of the annotated frame at its own size, and their scores."""


class ModelPredictor:
    """All masks of a `Segmenter`; sentences about one frame, if they come in a row, share the visual encoder's work.

    Published evaluation of these benchmarks reads sentences as training does, in lower case; encoders may tell.

    Args:
        segmenter: the model.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self._clip: tuple[str, list[str]] | None = None
        self._features: ClipFeatures | None = None

    def __call__(self, sample_id: str, sample: Sample) -> tuple[list[Rle], list[float]]:
        clip = (sample.video, sample.frame_names)
        if self._features is None or self._clip != clip or not sample.frame_names:
            self._features = self.segmenter.encode(sample.frames.permute(0, 2, 3, 1).numpy())
            self._clip = clip
        found = self._features.candidates(plain_sentence(sample.expression), annotated_frame(sample))
        return encode_masks(found.masks), found.scores.tolist()


class KeptPredictor:
    """Masks that were kept as COCO results: ``[{"image_id": SAMPLE, "segmentation": RLE, "score": …}, …]``.

    Args:
        path: the JSON file, or a folder with `predictions.json`.

    Raises:
        InputError: it is missing, cut off, or not of this form.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            self.path = self.path / RESULTS
        try:
            results = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"{self.path} is missing: give COCO results as JSON, or a folder with {RESULTS}."
            ) from None
        except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
            raise InputError(f"{self.path} is not valid JSON: {error}.") from error
        if not isinstance(results, list):
            raise InputError(f"{self.path} must hold a list of COCO results, each with image_id, segmentation, score.")
        self._of: dict[str, list[dict[str, Any]]] = {}
        for place, result in enumerate(results):
            self._of.setdefault(self._sample_of(result, place), []).append(result)

    def _sample_of(self, result: Any, place: int) -> str:
        if not isinstance(result, dict) or not isinstance(result.get("image_id"), (str, int)):
            raise InputError(f"{self.path}: result {place} has no image_id, the id of a sample.")
        score = result.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) < 1e300:  # nor NaN
            raise InputError(f"{self.path}: result {place} has the score {score!r:.40}, which is no number.")
        return str(result["image_id"])

    def __call__(self, sample_id: str, sample: Sample) -> tuple[list[Rle], list[float]]:
        found = self._of.get(sample_id)
        if found is None:
            raise InputError(
                f"{self.path} has nothing for the sample {sample_id!r}: it must hold at least one mask, which may "
                "be empty, for each; further sentences of one id are called ID#2, ID#3 in the list's order."
            )
        size = (sample.masks.shape[1], sample.masks.shape[2])
        where = f"{self.path}: a mask of {sample_id!r}"
        masks = [encode_masks(decode_segmentation(x.get("segmentation"), size, where)[None])[0] for x in found]
        return masks, [float(x["score"]) for x in found]


def annotated_frame(sample: Sample) -> int:
    """Index of the sample's one annotated frame.

    Raises:
        ValueError: it has none or several.
    """
    frames = range(len(sample.frames)) if sample.annotated is None else sample.annotated
    if len(frames) != 1:
        raise ValueError(f"one frame of {sample.video} must be annotated, not {len(frames)}")
    return frames[0]


def evaluate(
    data: Samples,
    predict: Predictor,
    *,
    rank: bool = True,
    limit: int | None = None,
    keep: str | Path | None = None,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> InstanceEvaluation:
    """Score masks of single annotated frames.

    Args:
        data: a split; its samples' `expression_id` is what results call them.
        predict: gives the masks.
        rank: also mAP, of all masks.
        limit: only that many samples, the first.
        keep: folder to make for the predictions, as `predictions.json`.
        progress: wraps the samples' indices, to show how far it is.

    Raises:
        InputError: data or predictions are missing or broken, or the folder to keep them in exists.
    """
    if keep is not None:
        check_output(keep, marker=RESULTS)
    if rank:
        import_extra("faster_coco_eval", "mAP")  # missed now, not after the last sample
    answers: list[Answer] = []
    seen: Counter[str] = Counter()
    indices = range(len(data) if limit is None else min(limit, len(data)))
    for sample in _read_ahead(data, progress(indices)):
        seen[sample.expression_id] += 1
        # Sentences that say the same of the same instance share its id; results must tell them apart.
        again = seen[sample.expression_id]
        sample_id = sample.expression_id if again == 1 else f"{sample.expression_id}#{again}"
        masks, scores = predict(sample_id, sample)
        annotation = encode_masks(sample.masks[annotated_frame(sample)][None].numpy())[0]
        answers.append(Answer(sample_id, sample.video, annotation, masks, scores))
    if keep is not None:
        with new_folder(keep, marker=RESULTS) as folder:
            (folder / RESULTS).write_text(json.dumps(coco_results(answers)), encoding="utf-8")
    return InstanceEvaluation.of(answers, rank)


def coco_results(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Predictions as COCO results, with the samples' ids for image ids."""
    return [
        {
            "image_id": answer.id,
            "category_id": 1,
            "segmentation": {"size": np.asarray(mask["size"]).tolist(), "counts": mask["counts"].decode("ascii")},
            "score": float(score),
        }
        for answer in answers
        for mask, score in zip(answer.masks, answer.scores, strict=True)
    ]


def _read_ahead(data: Samples, indices: Iterable[int]) -> Iterator[Sample]:
    """Samples in order, read in a thread of its own: one, since a reader may hold an open video."""
    waiting: deque[Future[Sample]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for index in indices:
                waiting.append(pool.submit(data.__getitem__, index))
                if len(waiting) > SAMPLES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for sample in waiting:
                sample.cancel()
