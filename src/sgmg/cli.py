"""The commands: parse, call, print. No logic, and no heavy import before a command needs it."""

import json
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

from sgmg.errors import InputError, InputWarning

app = typer.Typer(
    name="sgmg",
    help="A video and a sentence in, that object's mask in every frame out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sgmg import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass  # with a callback, a single command keeps its name; --help shows the app's own text


@app.command(no_args_is_help=True)
def segment(
    video: Annotated[str, typer.Argument(help="A video file, a folder of images, or an image.", show_default=False)],
    expressions: Annotated[
        list[str], typer.Argument(help='What to segment, such as "the dog"; several at once are fine.')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make for the results.")],
    model: Annotated[
        str | None, typer.Option(help="A model folder or a Hub id; by default the embedded sgmg-lite.")
    ] = None,
    clip_length: Annotated[str, typer.Option(help='Frames that the network sees together: a number, or "all".')] = "36",
    short_side: Annotated[
        int | None, typer.Option(help="Resize frames to this many pixels on the shorter side …")
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(help="… and at most this many on the longer; by default as the model says.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Leave a frame's mask empty below this score, 0 to 1.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of images; 24 by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default as many as there are cores.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Segment what sentences mean in a video.

    Writes OUT/overlay.mp4 (to look at), OUT/masks/EXPRESSION/FRAME.png (0 and 255, the video's size) and
    OUT/result.json (scores, boxes, run-length encoded masks).

    Example: [bold]sgmg segment dog.mp4 "the dog" "the woman throwing a ball" -o out[/bold]
    """
    from sgmg.output import check_output
    from sgmg.video import open_video

    length = _clip_length(clip_length)
    check_output(output, overwrite)
    source = open_video(video, fps)

    import torch

    from sgmg.segmenter import Segmenter

    if threads is not None:
        torch.set_num_threads(threads)
    segmenter = Segmenter.from_pretrained(model, device=device, dtype=dtype)  # type: ignore[arg-type]
    with _progress_bar("Segmenting", shown=not quiet) as progress:
        result = segmenter(
            source,
            expressions,
            clip_length=length,
            short_side=short_side,
            long_side=long_side,
            min_score=min_score,
            progress=progress,
        )
    with _progress_bar("Writing", shown=not quiet) as progress:
        folder = result.save(output, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(json.dumps({"output": str(folder), **result.summary()}, ensure_ascii=False))
    elif not quiet:
        for expression, score in zip(result.expressions, result.scores, strict=True):
            typer.echo(f"{score:.2f}  {expression}")
        typer.echo(f"Saved to {output}; look at {output / 'overlay.mp4'}")


@app.command(no_args_is_help=True)
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A published .pth: SgMg, or Video Swin trained on Kinetics.")],
    output: Annotated[Path, typer.Argument(help="Model folder to make.")],
    text_encoder: Annotated[
        str, typer.Option(help="Folder or Hub id of the text encoder: its configuration and tokenizer.")
    ] = "FacebookAI/roberta-base",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model folder.")] = False,
) -> None:
    """Turn a published checkpoint into a model folder.

    Every weight has its place or is named in an error; nothing in the checkpoint is executed. A Kinetics checkpoint
    of Video Swin becomes a model to start a training from: its visual encoder, the rest fresh.

    Example: [bold]sgmg convert video_swin_tiny.pth models/sgmg-t --text-encoder FacebookAI/roberta-base[/bold]
    """
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, marker="config.json")

    from sgmg.model.published import read_published

    model = read_published(checkpoint, text_encoder)
    with new_folder(output, overwrite, marker="config.json") as folder:
        model.write_folder(folder)
    weights = sum(parameter.numel() for parameter in model.parameters())
    typer.echo(f"{output}: {model.config.visual_encoder}, {weights / 1e6:.1f} million weights")


@contextmanager
def _progress_bar(title: str, shown: bool = True) -> Iterator[Callable[[float, int | None], None]]:
    """A bar on standard error with frames per second and the time left; gives (done, total) -> None."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.fields[total_text]} frames"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
    task = bar.add_task(title, total=None, total_text="?", rate="")
    start = time.monotonic()

    def show(done: float, total: int | None) -> None:
        bar.start()  # not before: an error in the arguments is no work begun
        rate = done / max(time.monotonic() - start, 1e-6)
        bar.update(task, completed=done, total=total, total_text=str(total or "?"), rate=f"{rate:.1f} frames/s")

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


evaluate_app = typer.Typer(help="Score masks against a benchmark's annotations.", no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")


def _clip_length(value: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise InputError(f"A clip of {value!r} frames is not possible; give 1 or more, or 'all'.")
    return int(value)


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

    length = _clip_length(clip_length)
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


def main() -> None:
    """Run the command line; what a user can mend is one sentence on standard error and exit code 2."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half-written outputs are removed
    show_any = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, InputWarning):
            typer.echo(f"Warning: {message}", err=True)
        else:
            show_any(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        app()
    except Exception as error:
        if not isinstance(error, _errors_that_users_mend()):
            raise
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


def _errors_that_users_mend() -> tuple[type[Exception], ...]:
    """Also the model's own, whose module is heavy and hence looked at only where it is loaded already."""
    model = sys.modules.get("sgmg.model")
    return (InputError, OSError, *((model.ModelError,) if model else ()))


@app.command(no_args_is_help=True)
def synth(
    output: Annotated[Path, typer.Argument(help="The dataset's root; the other split may be there already.")],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)] = 0,
    videos: Annotated[int, typer.Option(help="How many videos.", min=1)] = 100,
    split: Annotated[
        str, typer.Option(help="train or valid: valid has cutouts, backgrounds and random numbers of its own.")
    ] = "train",
    cutouts: Annotated[
        Path | None, typer.Option(help="Folder of cutouts with alpha, described by its labels.json.")
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of photographs; without it backgrounds are procedural.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="shapes, cutouts or both; by default both where there are cutouts.", show_default=False),
    ] = None,
    size: Annotated[str, typer.Option(help="Height and width of the frames in pixels.", metavar="HxW")] = "288x512",
    length: Annotated[int, typer.Option(help="Frames of a video.", min=1)] = 24,
    objects: Annotated[str, typer.Option(help="How many things are in a video.", metavar="N|N-M")] = "2-5",
    kinds: Annotated[
        str | None,
        typer.Option(
            help="Kinds of expressions, with commas: name, attribute, motion, position, relation, combined, absent. "
            "All by default.",
            show_default=False,
        ),
    ] = None,
    expressions: Annotated[int, typer.Option(help="Expressions of a video, at most.", min=1)] = 6,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that generate videos.", min=1)] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Generate videos with exact masks and sentences, in the layout of Ref-YouTube-VOS.

    Things move in front of backgrounds; each sentence is true of exactly one of them, or, of the kind
    "absent", of none: then its object has empty masks. Nothing is downloaded.

    Example: [bold]sgmg synth data --seed 1 --videos 200 && sgmg synth data --seed 1 --videos 40 --split valid[/bold]
    """
    from rich.console import Console
    from rich.progress import track

    from sgmg.data.synthetic import KINDS, SyntheticConfig
    from sgmg.data.synthetic.writer import write_videos

    config = SyntheticConfig(
        size=_two_numbers(size, "x", "--size", "288x512"),
        length=length,
        objects=_two_numbers(objects if "-" in objects else f"{objects}-{objects}", "-", "--objects", "2-5"),
        source=source or ("both" if cutouts else "shapes"),
        cutouts=cutouts,
        backgrounds=backgrounds,
        split=split,
        kinds=tuple(kind.strip() for kind in kinds.split(",")) if kinds is not None else KINDS,
        expressions=expressions,
    )
    write_videos(
        output,
        config,
        seed,
        videos,
        overwrite=overwrite,
        workers=workers,
        progress=lambda written: track(
            written, "Generating", total=videos, console=Console(stderr=True), disable=quiet
        ),
    )
    if not quiet:
        typer.echo(f"Saved {videos} videos to {output / split}.")


def _two_numbers(value: str, between: str, option: str, example: str) -> tuple[int, int]:
    first, found, second = value.lower().partition(between)
    if not found or not all(part.isascii() and part.isdigit() for part in (first, second)):
        raise InputError(f"{option} {value!r} is not understood: write it like {example}.")
    return int(first), int(second)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file that says what is trained, on what, and how.")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="Changes to the recipe.", metavar="[KEY=VALUE]...")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start anew even though the run's folder holds a checkpoint.")
    ] = False,
) -> None:
    """Train a network as a recipe says.

    Checkpoint, logs (CSV and TensorBoard) and the trained model go to the recipe's [b]run[/b] folder. Where that
    holds a checkpoint, training goes on from it, exactly as if it had not stopped.

    Example: [cyan]sgmg train recipes/sgmg_lite.yaml run=runs/lite trainer.max_steps=1000[/cyan]
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and what hardware it found
    from sgmg.training.recipe import read_recipe
    from sgmg.training.run import resumes
    from sgmg.training.run import train as run

    read = read_recipe(recipe, changes or [])
    if resumes(read, restart):
        typer.echo(f"Going on from the checkpoint in {read.run} (--restart starts anew).")
    typer.echo(f"The trained model is in {run(read, restart)}.")


if __name__ == "__main__":
    main()
