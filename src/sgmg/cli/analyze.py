"""`sgmg analyze`: looking into networks and at their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli import options
from sgmg.cli.arguments import clip_frames
from sgmg.errors import InputError

analyze_app = typer.Typer(
    help="Look into networks and at their results; figures as PNG and SVG, the numbers behind them as JSON.",
    no_args_is_help=True,
)

Video = Annotated[str, typer.Argument(help="A video file, a folder of images, or an image.", show_default=False)]
Sentence = Annotated[str, typer.Argument(help='What to look for, such as "the dog".', show_default=False)]
Out = Annotated[Path, typer.Option("--output", "-o", help="Folder to make for figures and numbers.")]
Frames = Annotated[int, typer.Option(help="Frames that the network sees together, the first.", min=1)]


@analyze_app.command("drift", no_args_is_help=True)
def drift(
    video: Video,
    expression: Sentence,
    output: Out,
    model: options.Model = None,
    frames: Frames = 36,
    tokens: Annotated[int, typer.Option(help="Cells that are looked at, spread over the frames.", min=20)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the choice of cells and of t-SNE.", min=0)] = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """What decoding does to the features that kernels were predicted for (the paper's Figure B).

    Draws the features of the same cells before and after decoding in a t-SNE plane, and says how far the two are
    apart: silhouette, and how often a linear classifier tells which is which. The model must have a decoder: one
    trained with model.feature_decoder=segment or observe.

    Example: [bold]sgmg analyze drift dog.mp4 "the dog" -o drift --model runs/decoder/model[/bold]
    """
    from sgmg.analysis.figures import NUMBERS, require
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, NUMBERS)
    require("sklearn")
    from sgmg.analysis.clip import read_clip
    from sgmg.analysis.drift import draw, measure, tokens_of
    from sgmg.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(model, device=device)
    clip = read_clip(segmenter, video, expression, frames)
    found, plane = measure(tokens_of(segmenter.model, clip, tokens, seed), seed)
    with new_folder(output, overwrite, NUMBERS) as folder:
        draw(found, plane, clip, folder)
    apart, control = found.encoded_decoded, found.control
    typer.echo(
        f"A linear classifier tells encoded from decoded features in {apart.accuracy:.1%} of {found.tokens} cells "
        f"(random halves: {control.accuracy:.1%}); silhouette {apart.silhouette:.2f} ({control.silhouette:.2f})."
    )
    typer.echo(f"Saved to {output}.")


@analyze_app.command("attention", no_args_is_help=True)
def attention(
    video: Video,
    expression: Sentence,
    output: Out,
    model: options.Model = None,
    frame: Annotated[int, typer.Option(help="Which frame is drawn, counted from 0.", min=0)] = 0,
    frames: Frames = 8,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Where the best query looks and which words pixels read, in one frame.

    Example: [bold]sgmg analyze attention dog.mp4 "the dog" -o attention --frame 3[/bold]
    """
    from sgmg.analysis.figures import NUMBERS
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, NUMBERS)
    from sgmg.analysis.attention import draw, look
    from sgmg.analysis.clip import read_clip
    from sgmg.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(model, device=device)
    clip = read_clip(segmenter, video, expression, max(frames, frame + 1))
    if frame >= len(clip.images):
        raise InputError(f"'{video}' has {len(clip.images)} frames: give --frame 0 to {len(clip.images) - 1}.")
    found = look(segmenter.model, clip, frame)
    with new_folder(output, overwrite, NUMBERS) as folder:
        draw(found, clip, folder)
    typer.echo(f"Saved to {output}.")


@analyze_app.command("spectrum", no_args_is_help=True)
def spectrum(
    video: Video,
    expression: Sentence,
    output: Out,
    model: options.Model = None,
    before: Annotated[
        str | None, typer.Option(help="A second model with the same levels, such as the one before training.")
    ] = None,
    frames: Frames = 8,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """What the Gaussian gate of the spectral filters keeps at each level.

    Example: [bold]sgmg analyze spectrum dog.mp4 "the dog" -o spectrum --model runs/a/model --before start[/bold]
    """
    from sgmg.analysis.figures import NUMBERS
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, NUMBERS)
    from sgmg.analysis.clip import read_clip
    from sgmg.analysis.spectrum import draw, gates_of
    from sgmg.segmenter import Segmenter

    names = {"the model": model} if before is None else {"before training": before, "after training": model}
    segmenters = {name: Segmenter.from_pretrained(place, device=device) for name, place in names.items()}
    if len({segmenter.model.config.strides for segmenter in segmenters.values()}) > 1:
        raise InputError("The two models have other levels than each other: compare models with the same strides.")
    found = {}
    for name, segmenter in segmenters.items():
        clip = read_clip(segmenter, video, expression, frames)
        found[name] = gates_of(segmenter.model, clip)
    with new_folder(output, overwrite, NUMBERS) as folder:
        draw(found, clip, folder)
    for name, gates in found.items():
        kept = ", ".join(f"{gate.power_kept:.1%}" for gate in gates)
        typer.echo(f"{name}: power kept, by level, before and then after the words: {kept}")
    typer.echo(f"Saved to {output}.")


@analyze_app.command("gallery", no_args_is_help=True)
def gallery(
    root: options.Root,
    output: Out,
    benchmark: Annotated[str, typer.Option(help="Whose layout: ref-youtube-vos or mevis.")] = "ref-youtube-vos",
    split: options.Split = "valid",
    model: options.Model = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Show these, kept by sgmg evaluate --keep, without a model.")
    ] = None,
    video: Annotated[list[str] | None, typer.Option(help="Show this video; several are fine.")] = None,
    rows: Annotated[int, typer.Option(help="How many rows, if no video is named.", min=1)] = 4,
    columns: Annotated[int, typer.Option(help="Frames of a row.", min=1)] = 5,
    expressions: Annotated[int, typer.Option(help="Expressions of a row, at most.", min=1, max=7)] = 3,
    errors: Annotated[
        bool, typer.Option("--errors", help="The expressions with the lowest J&F, lowest first, against the truth.")
    ] = False,
    scores: Annotated[
        Path | None,
        typer.Option(help="With --errors, the table of sgmg evaluate --csv-expressions; else it is scored anew."),
    ] = None,
    clip_length: options.ClipLength = "36",
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Rows of frames with masks, expressions under each row (the paper's Figure C); or error cases, worst first.

    Example: [bold]sgmg analyze gallery data -o errors --errors --predictions kept --scores expressions.csv[/bold]
    """
    from sgmg.analysis.figures import NUMBERS
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, NUMBERS)
    if predictions is not None and model is not None:
        raise InputError("Both a model and predictions were given: choose --model or --predictions.")
    if scores is not None and not errors:
        raise InputError("Scores are of error cases: give --errors with --scores.")
    if errors and video:
        raise InputError("Error cases are chosen by their scores: leave out --video, or --errors.")
    if benchmark not in ("ref-youtube-vos", "mevis"):
        raise InputError(f"Galleries are of ref-youtube-vos or mevis, not of '{benchmark}'.")
    from sgmg.analysis.gallery import cases_of, choose, draw, read_cases, worst
    from sgmg.data.benchmarks import open_benchmark
    from sgmg.evaluation.expressions import evaluate
    from sgmg.evaluation.video_masks import KeptPredictor, ModelPredictor, Predictor
    from sgmg.segmenter import Segmenter

    length = clip_frames(clip_length)
    data = open_benchmark(benchmark, root, split)
    predict: Predictor = (
        ModelPredictor(Segmenter.from_pretrained(model, device=device), length)
        if predictions is None
        else KeptPredictor(predictions)
    )
    if errors:
        from sgmg.cli.progress import items_bar

        cases = (
            cases_of(evaluate(data, predict, progress=lambda items: items_bar(items, "Scoring")).rows())
            if scores is None
            else read_cases(scores)
        )
        found = worst(data, predict, cases, rows)
    else:
        found = choose(data, predict, video or [], rows, expressions)
    with new_folder(output, overwrite, NUMBERS) as folder:
        draw(data, found, folder, columns, errors)
    typer.echo(f"Saved to {output}.")


@analyze_app.command("ablation", no_args_is_help=True)
def ablation(
    table: Annotated[Path, typer.Argument(help="YAML file with the variants; see recipes/ablations.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(help="Changes to it, such as seeds=[0] or run=FOLDER.", metavar="[KEY=VALUE]..."),
    ] = None,
) -> None:
    """Train and score variants with several seeds, and write a table of them.

    The table (RUN/NAME.md) and its plot are written after each run. Typed again, the command goes on where it
    stopped: finished runs are kept, a training that was cut off goes on from its checkpoint.

    Example: [bold]sgmg analyze ablation recipes/ablations/table_a.yaml run=runs/ablations[/bold]
    """
    from sgmg.analysis.figures import require

    require("matplotlib")
    import logging

    from sgmg.analysis.ablation import markdown, read_ablation, run_ablation

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and what hardware it found
    chosen = read_ablation(table, changes or [])
    results = run_ablation(chosen, report=typer.echo)
    typer.echo(markdown(chosen, results))
    typer.echo(f"Saved to {chosen.run / chosen.name}.md, .png and .svg.")
