"""`sgmg evaluate`: a command for each benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from sgmg.cli import options
from sgmg.cli.arguments import clip_frames
from sgmg.cli.progress import items_bar
from sgmg.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from sgmg.segmenter import Segmenter

evaluate_app = typer.Typer(help="Score masks against a benchmark's annotations.", no_args_is_help=True)

Window = Annotated[int, typer.Option(help="Frames that the network sees around the annotated one, that included.")]
Item = TypeVar("Item")


@evaluate_app.command("ref-youtube-vos", no_args_is_help=True)
def evaluate_ref_youtube_vos(
    root: options.Root,
    split: options.Split = "valid",
    model: options.Model = None,
    predictions: options.Predictions = None,
    keep: options.Keep = None,
    json_output: options.Json = False,
    csv: options.Csv = None,
    csv_expressions: options.CsvExpressions = None,
    shuffle_expressions: Annotated[
        bool,
        typer.Option(
            "--shuffle-expressions",
            help="Ask for each object with an expression of another object of its video, and score against the "
            "first: a model that ignores language scores the same. Only objects that are there take part.",
        ),
    ] = False,
    clip_length: options.ClipLength = "36",
    min_score: options.MinScore = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """J, F and J&F over the expressions of a split, in percent.

    Takes any data in the layout of Ref-YouTube-VOS. J and F are means over a
    video's frames, then over the expressions whose object is in at least one
    frame. Expressions of things that are not there are no part of these means:
    how many of them were left empty is reported beside. Data with kinds of
    expressions, as sgmg synth writes it, is scored by kind as well.
    Predictions are VIDEO/EXPRESSION_ID/FRAME.png, 0 where the object is not.

    Example: [bold]sgmg evaluate ref-youtube-vos data --split valid --model runs/lite/model --json[/bold]
    """
    source = Source(model, predictions, keep, device, dtype)
    _evaluate_expressions(
        Data("ref-youtube-vos", root, split),
        source,
        Output(f"{root} {split}", json_output, csv, csv_expressions),
        clip_length,
        min_score,
        limit,
        workers,
        shuffle_expressions,
    )


@evaluate_app.command("mevis", no_args_is_help=True)
def evaluate_mevis(
    root: options.Root,
    split: options.Split = "valid_u",
    model: options.Model = None,
    predictions: options.Predictions = None,
    keep: options.Keep = None,
    json_output: options.Json = False,
    csv: options.Csv = None,
    csv_expressions: options.CsvExpressions = None,
    clip_length: options.ClipLength = "36",
    min_score: options.MinScore = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """J, F and J&F over the expressions of MeViS, in percent.

    An expression may mean several objects: its mask is scored against their
    union. Predictions are VIDEO/EXPRESSION_ID/FRAME.png, 0 where the objects
    are not.

    Example: [bold]sgmg evaluate mevis mevis --model runs/mevis/model[/bold]
    """
    source = Source(model, predictions, keep, device, dtype)
    _evaluate_expressions(
        Data("mevis", root, split),
        source,
        Output(f"{root} {split}", json_output, csv, csv_expressions),
        clip_length,
        min_score,
        limit,
        workers,
    )


@evaluate_app.command("ref-davis17", no_args_is_help=True)
def evaluate_ref_davis(
    root: options.Root,
    split: options.Split = "valid",
    model: options.Model = None,
    predictions: options.Predictions = None,
    keep: options.Keep = None,
    json_output: options.Json = False,
    csv: options.Csv = None,
    csv_expressions: options.CsvExpressions = None,
    match_objects: Annotated[
        bool,
        typer.Option(
            "--match-objects",
            help="Score each object against whichever label fits best, as the unsupervised DAVIS evaluation does, "
            "with which most published scores were made.",
        ),
    ] = False,
    clip_length: options.ClipLength = "36",
    min_score: options.MinScore = None,
    limit: options.Limit = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """J, F and J&F on Ref-DAVIS17: the mean of four annotators, in percent.

    All objects of a video are merged, the most probable one in each pixel, for
    each annotator. Predictions are ANNOTATOR/VIDEO/FRAME.png (anno_0 to anno_3),
    whose pixels are ids of objects.

    Example: [bold]sgmg evaluate ref-davis17 ref-davis --model sgmg-t --keep labels[/bold]
    """
    from sgmg.evaluation import ref_davis
    from sgmg.evaluation.report import davis_table

    source = Source(model, predictions, keep, device, dtype)
    output = Output(f"{root} {split}", json_output, csv, csv_expressions)
    length = clip_frames(clip_length)
    data = Data("ref-davis17", root, split).open()
    predict: ref_davis.Predictor = (
        ref_davis.ModelPredictor(source.segmenter(), length, min_score)
        if predictions is None
        else ref_davis.KeptPredictor(predictions)
    )
    result = ref_davis.evaluate(
        data,
        predict,
        match_objects=match_objects,
        limit=limit,
        workers=_processes(workers),
        keep=keep,
        progress=_progress,
    )
    output.show(result, davis_table)


@evaluate_app.command("a2d", no_args_is_help=True)
def evaluate_a2d(
    root: options.Root,
    split: options.Split = "test",
    window: Window = 5,
    model: options.Model = None,
    predictions: options.Predictions = None,
    keep: options.Keep = None,
    json_output: options.Json = False,
    csv: options.Csv = None,
    csv_expressions: options.CsvExpressions = None,
    limit: options.Limit = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """Precision, overall and mean IoU and mAP on A2D-Sentences, in percent.

    mAP ranks all masks that the model gives for a sentence; the others look at
    the one that scores highest. Predictions are COCO results as JSON (in a
    folder: predictions.json), image_id being v_VIDEO_f_FRAME_i_INSTANCE.

    Example: [bold]sgmg evaluate a2d a2d_sentences --model runs/a2d/model --csv videos.csv[/bold]
    """
    source = Source(model, predictions, keep, device, dtype)
    output = Output(f"{root} {split}", json_output, csv, csv_expressions)
    _evaluate_single_frames(Data("a2d", root, split, window), source, output, limit, rank=True)


@evaluate_app.command("jhmdb", no_args_is_help=True)
def evaluate_jhmdb(
    root: options.Root,
    window: Window = 5,
    model: options.Model = None,
    predictions: options.Predictions = None,
    keep: options.Keep = None,
    json_output: options.Json = False,
    csv: options.Csv = None,
    csv_expressions: options.CsvExpressions = None,
    limit: options.Limit = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> None:
    """Precision, overall and mean IoU and mAP on JHMDB-Sentences, in percent.

    Three frames of each video are evaluated, as published with a model for
    A2D. Predictions are COCO results as JSON (in a folder: predictions.json),
    image_id being v_VIDEO_f_FRAME.

    Example: [bold]sgmg evaluate jhmdb jhmdb_sentences --model runs/a2d/model[/bold]
    """
    source = Source(model, predictions, keep, device, dtype)
    output = Output(str(root), json_output, csv, csv_expressions)
    _evaluate_single_frames(Data("jhmdb", root, None, window), source, output, limit, rank=True)


def _add_refcoco(name: str, splits: str) -> None:
    def evaluate_refcoco(
        root: options.Root,
        split: options.Split = "val",
        model: options.Model = None,
        predictions: options.Predictions = None,
        keep: options.Keep = None,
        json_output: options.Json = False,
        csv: options.Csv = None,
        csv_expressions: options.CsvExpressions = None,
        limit: options.Limit = None,
        device: options.Device = "auto",
        dtype: options.Dtype = "float32",
    ) -> None:
        source = Source(model, predictions, keep, device, dtype)
        output = Output(f"{root} {name} {split}", json_output, csv, csv_expressions)
        _evaluate_single_frames(Data(name, root, split), source, output, limit, rank=False)

    evaluate_refcoco.__doc__ = f"""Precision, overall and mean IoU on {name} ({splits}), in percent.

    Predictions are COCO results as JSON (in a folder: predictions.json),
    image_id being the id of the sentence.

    Example: [bold]sgmg evaluate {name} coco --split val --model sgmg-b[/bold]
    """
    evaluate_app.command(name, no_args_is_help=True)(evaluate_refcoco)


_add_refcoco("refcoco", "val, testA, testB")
_add_refcoco("refcoco+", "val, testA, testB")
_add_refcoco("refcocog", "val, test")


class Result(Protocol):
    """What every evaluation can say."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""

    def rows(self) -> list[dict[str, Any]]:
        """One row an expression, for CSV."""


Evaluated = TypeVar("Evaluated", bound=Result)


@dataclass(frozen=True)
class Data:
    """Which data, as it was typed."""

    benchmark: str
    root: Path
    split: str | None
    window: int | None = None

    def open(self) -> Any:
        from sgmg.data.benchmarks import open_benchmark

        return open_benchmark(
            self.benchmark, self.root, self.split, **({} if self.window is None else {"window": self.window})
        )


@dataclass(frozen=True)
class Source:
    """Where masks come from, as it was typed, and where they are kept."""

    model: str | None
    predictions: Path | None
    keep: Path | None
    device: str
    dtype: str

    def __post_init__(self) -> None:
        if self.predictions is not None and self.model is not None:
            raise InputError("Both a model and predictions were given: choose --model or --predictions.")
        if self.predictions is not None and self.keep is not None:
            raise InputError("Predictions that were given are kept already: choose --predictions or --keep.")

    def segmenter(self) -> Segmenter:
        from sgmg.segmenter import Segmenter

        return Segmenter.from_pretrained(self.model, self.device, self.dtype)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Output:
    """How scores are shown, as it was typed."""

    title: str
    json: bool
    csv: Path | None
    csv_expressions: Path | None

    def __post_init__(self) -> None:
        for path in (self.csv, self.csv_expressions):
            if path is not None and (path.is_dir() or not path.parent.is_dir()):
                raise InputError(f"'{path}' cannot be written: give the name of a file in a folder that exists.")

    def show(self, result: Evaluated, table: Callable[[Evaluated, str], Table]) -> None:
        """Print a result and write what was asked for."""
        from rich.console import Console

        from sgmg.evaluation.report import by_video, write_csv

        if self.csv is not None:
            write_csv(self.csv, by_video(result.rows()))
        if self.csv_expressions is not None:
            write_csv(self.csv_expressions, result.rows())
        if self.json:
            typer.echo(json.dumps(result.to_dict()))
        else:
            Console().print(table(result, self.title))


def _evaluate_expressions(
    data: Data,
    source: Source,
    output: Output,
    clip_length: str,
    min_score: float | None,
    limit: int | None,
    workers: int | None,
    shuffle_expressions: bool = False,
) -> None:
    from sgmg.evaluation.expressions import evaluate
    from sgmg.evaluation.report import evaluation_table
    from sgmg.evaluation.video_masks import KeptPredictor, ModelPredictor, Predictor

    length = clip_frames(clip_length)
    opened = data.open()
    predict: Predictor = (
        ModelPredictor(source.segmenter(), length, min_score)
        if source.predictions is None
        else KeptPredictor(source.predictions)
    )
    result = evaluate(
        opened,
        predict,
        shuffle_expressions=shuffle_expressions,
        limit=limit,
        workers=_processes(workers),
        keep=source.keep,
        progress=_progress,
    )
    output.show(result, evaluation_table)


def _evaluate_single_frames(data: Data, source: Source, output: Output, limit: int | None, rank: bool) -> None:
    from sgmg.evaluation.report import instance_table
    from sgmg.evaluation.single_frames import KeptPredictor, ModelPredictor, Predictor, evaluate

    opened = data.open()
    predict: Predictor = (
        ModelPredictor(source.segmenter()) if source.predictions is None else KeptPredictor(source.predictions)
    )
    result = evaluate(opened, predict, rank=rank, limit=limit, keep=source.keep, progress=_progress)
    output.show(result, instance_table)


def _processes(workers: int | None) -> int:
    from sgmg.processes import all_cores

    return all_cores() if workers is None else workers


def _progress(items: Sequence[Item]) -> Iterable[Item]:
    return items_bar(items, "Evaluating")
