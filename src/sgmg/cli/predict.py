"""`sgmg predict`: submissions to the benchmarks' servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli import options
from sgmg.cli.arguments import clip_frames
from sgmg.cli.progress import items_bar

predict_app = typer.Typer(help="Write a submission to a benchmark's server.", no_args_is_help=True)

Submission = Annotated[Path, typer.Option("--output", "-o", help="The zip to write.", show_default=False)]


def _add(benchmark: str, example: str) -> None:
    def predict(
        root: options.Root,
        output: Submission,
        split: options.Split = "valid",
        model: options.Model = None,
        clip_length: options.ClipLength = "36",
        min_score: options.MinScore = None,
        device: options.Device = "auto",
        dtype: options.Dtype = "float32",
        overwrite: options.Overwrite = False,
    ) -> None:
        from sgmg.data.benchmarks import open_benchmark
        from sgmg.evaluation.submission import check_submission, submit
        from sgmg.evaluation.video_masks import ModelPredictor
        from sgmg.segmenter import Segmenter

        length = clip_frames(clip_length)
        check_submission(output, overwrite)
        data = open_benchmark(benchmark, root, split)
        segmenter = Segmenter.from_pretrained(model, device, dtype)  # type: ignore[arg-type]
        settings = {
            "benchmark": benchmark,
            "split": split,
            "model": segmenter.engine.digest(),
            "clip_length": length,
            "min_score": min_score,
            "dtype": dtype,
        }
        submit(
            data,
            ModelPredictor(segmenter, length, min_score),
            output,
            settings=settings,
            overwrite=overwrite,
            progress=lambda videos: items_bar(videos, "Predicting"),
        )
        typer.echo(f"Saved {len(data.videos)} videos to {output}.")

    predict.__doc__ = f"""Masks of every expression of a split, zipped as the server takes them.

    The zip holds Annotations/VIDEO/EXPRESSION_ID/FRAME.png, 0 and 255, and
    appears when all masks are there and right. Finished videos are kept beside
    it until then: interrupted, the same command goes on where it stopped.
    With another model (told by its weights, not by its name) or other
    settings it refuses to, unless --overwrite begins anew.

    Example: [bold]sgmg predict {benchmark} {example} -o submission.zip[/bold]
    """
    predict_app.command(benchmark, no_args_is_help=True)(predict)


_add("ref-youtube-vos", "data --model sgmg-t")
_add("mevis", "mevis --model runs/mevis/model")
