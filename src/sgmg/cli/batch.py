"""`sgmg batch`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sgmg.cli import options
from sgmg.cli.arguments import clip_frames
from sgmg.cli.progress import videos_bar
from sgmg.errors import InputError
from sgmg.paths import user_path

if TYPE_CHECKING:
    from sgmg.batch.job import State


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder of videos, or a table of them (.csv, .jsonl, .parquet) with columns video and "
            "expression(s); here or in an object store (s3://…).",
            show_default=False,
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="Folder for the results, also s3://….", show_default=False)
    ],
    expressions: Annotated[
        list[str] | None,
        typer.Option(
            "--expression",
            "--expressions",
            "-e",
            help="What to segment in every video; repeat it for several. Of a table, for rows that say nothing.",
            show_default=False,
        ),
    ] = None,
    format: options.Format = None,
    model: options.Model = None,
    clip_length: options.ClipLength = "36",
    overlap: Annotated[
        int | None, typer.Option(help="Frames that a clip shares with the one before; see sgmg segment.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Segment one frame in N.", metavar="N")] = 1,
    short_side: options.ShortSide = None,
    long_side: options.LongSide = None,
    min_score: options.MinScore = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of folders of images; 24 by default.")] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    actors: Annotated[
        int | None, typer.Option(min=1, help="Processes with the model; by default as many as there is room for.")
    ] = None,
    threads_per_actor: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads of each; by default 4, less where a machine has fewer than 8 cores, 1 beside a GPU.",
        ),
    ] = None,
    gpus_per_actor: Annotated[
        float | None, typer.Option(min=0, help="GPUs of each, 0.5 for two on one; by default 1 where there are GPUs.")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster's, or 'auto'; by default Ray is started here for the time of the job."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often what failed is tried again.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do everything anew, also what is finished.")] = False,
    as_json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Segment many videos, on this machine or a cluster.

    Writes OUT/NAME, what [bold]sgmg segment[/bold] writes, for every video, and OUT/results.parquet with scores, boxes,
    run-length encoded masks, timings and errors of all. Runs on Ray, which the extra "scale" brings.

    The same command again goes on: finished videos are skipped. What fails is tried again, then listed with its
    reason, and keeps nothing else from being done; the exit code is then 1.

    Example: [bold]sgmg batch videos found --expression "the dog" --format masks[/bold]
    """
    from sgmg.formats import DEFAULT_FORMATS, choose_formats

    length = clip_frames(clip_length)
    formats = tuple(form.name for form in choose_formats(format or DEFAULT_FORMATS))
    if fps is not None and fps <= 0:
        raise InputError(f"{fps:g} frames per second are not possible; give more than 0.")
    try:
        import pyarrow  # noqa: F401
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError("sgmg batch runs on Ray: install it with pip install 'sgmg[scale]'.") from error

    from sgmg.batch.videos import find_tasks

    tasks = find_tasks(source, expressions or ())

    from sgmg.batch import job
    from sgmg.batch.cluster import ray_running
    from sgmg.batch.pipeline import Model, Pool, choose_pool, stream
    from sgmg.batch.stages import Work
    from sgmg.batch.storage import Storage
    from sgmg.segmenter import Segmenter

    storage = Storage(output)
    segmenter = Segmenter.from_pretrained(model, device="cpu", dtype=dtype)  # type: ignore[arg-type]
    plan = segmenter.plan(length, short_side, long_side, min_score, overlap=overlap, every=every)
    digest = segmenter.engine.digest()
    del segmenter  # it was only asked; the actors load their own
    work = Work(plan, storage.root, formats, fps, retries)
    job.check(storage, work, digest, overwrite)
    left = tasks if overwrite else job.left_to_do(storage, tasks)
    with ExitStack() as stack:
        show = stack.enter_context(videos_bar(not quiet and bool(left)))
        pool = Pool(actors=0, threads=0, gpus=0, beside=0)
        if left:  # otherwise there is nothing to start Ray for
            stack.enter_context(ray_running(ray_address, plan))
            pool = choose_pool(actors, threads_per_actor, gpus_per_actor, cpu_only=device == "cpu")
        job.begin(storage, work, digest, overwrite)  # Ray is there: what cannot start leaves nothing behind
        folder = user_path(model or "")
        place = str(folder.resolve()) if model and folder.is_dir() else model
        loaded = Model(model, place, device, dtype)  # type: ignore[arg-type]
        events = partial(stream, work=work, model=loaded, pool=pool)
        done = job.run(tasks, left, work, events, show, at_once=max(1000, 200 * pool.actors))
    failures = [{"video": task.video, "error": done.failed[task.name]} for task in tasks if task.name in done.failed]
    if as_json:
        report = {
            "output": output,
            "results": f"{output}/results.parquet",
            **{key: getattr(done, key) for key in ("videos", "finished", "skipped", "frames", "seconds")},
            "failed": failures,
        }
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        for failure in failures:
            typer.echo(f"{failure['video']}: {failure['error']}", err=True)
        if not quiet:
            typer.echo(_summary(done, output))
    if failures:
        raise typer.Exit(1)


def _summary(done: State, output: str) -> str:
    parts = [f"{done.finished} videos finished"]
    if done.skipped:
        parts.append(f"{done.skipped} finished before")
    if done.failed:
        parts.append(f"{len(done.failed)} failed")
    rate = f", {done.frames} frames at {done.frames / done.seconds:.1f} frames/s" if done.frames else ""
    return f"{', '.join(parts)}{rate}. The table is {output}/results.parquet."
