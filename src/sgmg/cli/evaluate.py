"""`sgmg evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli.arguments import clip_frames
from sgmg.errors import InputError

evaluate_app = typer.Typer(help="Score masks against a benchmark's annotations.", no_args_is_help=True)


@evaluate_app.command("ref-youtube-vos", no_args_is_help=True)
def evaluate_ref_youtube_vos(
    root: Annotated[Path, typer.Argument(help="Folder that holds meta_expressions and the splits.")],
    split: Annotated[str, typer.Option(help="Which split; it must have annotations.")] = "valid",
    model: Annotated[
        str | None, typer.Option(help="Model folder, embedded model or Hub id; by default the embedded one.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Score these masks, VIDEO/EXPRESSION_ID/FRAME.png, without a model."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    shuffle_expressions: Annotated[
        bool,
        typer.Option(
            "--shuffle-expressions",
            help="Ask for each object with an expression of another object of its video, and score against the "
            "first: a model that ignores language scores the same. Only objects that are there take part.",
        ),
    ] = False,
    clip_length: Annotated[
        str, typer.Option(help="Frames that the network sees together, or 'all'.", metavar="N|all")
    ] = "36",
    min_score: Annotated[
        float | None,
        typer.Option(help="A frame that scores lower gets an empty mask; by default the model's own threshold."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only that many videos, the first.", min=1)] = None,
    workers: Annotated[int, typer.Option(help="Threads that score while the model runs.", min=1)] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")] = "auto",
) -> None:
    """J, F and J&F over the expressions of a split, in percent.

    Takes any data in the layout of Ref-YouTube-VOS. J and F are means over a
    video's frames, then over the expressions whose object is in at least one
    frame. Expressions of things that are not there are no part of these means:
    how many of them were left empty is reported beside. Data with kinds of
    expressions, as sgmg synth writes it, is scored by kind as well.

    Example: [bold]sgmg evaluate ref-youtube-vos data --split valid --model runs/lite --json[/bold]
    """
    from rich.console import Console
    from rich.progress import track

    from sgmg.data.ref_youtube_vos import RefYouTubeVOS
    from sgmg.evaluation.ref_youtube_vos import KeptPredictor, ModelPredictor, Predictor, evaluate
    from sgmg.evaluation.report import evaluation_table
    from sgmg.segmenter import Segmenter

    length = clip_frames(clip_length)
    if predictions is not None and model is not None:
        raise InputError("Both a model and predictions were given: choose --model or --predictions.")
    data = RefYouTubeVOS(root, split)
    predictor: Predictor = (
        ModelPredictor(Segmenter.from_pretrained(model, device=device), length, min_score)
        if predictions is None
        else KeptPredictor(predictions)
    )
    result = evaluate(
        data,
        predictor,
        shuffle_expressions=shuffle_expressions,
        limit=limit,
        workers=workers,
        progress=lambda videos: track(videos, "Evaluating", console=Console(stderr=True)),
    )
    if json_output:
        typer.echo(json.dumps(result.to_dict()))
    else:
        Console().print(evaluation_table(result, f"{root} {split}"))
