"""Variants trained and scored with several seeds, and the table of what came out (the paper's Tables A and B)."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jsonargparse import ArgumentParser

from sgmg.analysis.figures import BLUE, FAINT, INK, RED, figure, save, shortened
from sgmg.clips import network_size
from sgmg.data.benchmarks import open_benchmark
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.data.video_data import VideoData
from sgmg.errors import InputError
from sgmg.model.summary import summarise
from sgmg.segmenter import Segmenter
from sgmg.training.recipe import Recipe, read_recipe, read_settings
from sgmg.training.run import train as train_recipe

if TYPE_CHECKING:
    from sgmg.model import SgMg

SCORES, SETTINGS = "scores.json", "settings.txt"
BENCHMARKS = ("ref-youtube-vos", "mevis")
"""Whose scores are means over expressions, as the tables have them."""


@dataclass
class Variant:
    """One row of the table.

    Attributes:
        name: as the table has it.
        folder: of its runs; by default made of the name. Tables that share a run's folder share their runs.
        changes: `key=value` changes to the recipe.
        published: J&F that the paper reports for it, to stand beside.
    """

    name: str
    folder: str | None = None
    changes: list[str] = field(default_factory=list)
    published: float | None = None

    @property
    def place(self) -> str:
        """Name of the folder of its runs."""
        return self.folder or re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass
class Generated:
    """Generated videos that variants are scored on.

    Attributes:
        seed, videos: which, and how many.
        config: what they are like; of the split "valid", whose things and backgrounds training does not see.
    """

    seed: int = 1000
    videos: int = 40
    config: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass
class Scored:
    """What variants are scored on.

    Attributes:
        generated: generated videos, written once below the run's folder; counts where no `root` is given.
        benchmark, root, split: a benchmark on disk: `ref-youtube-vos` or `mevis`.
        clip_length: frames that the network sees together.
    """

    generated: Generated = field(default_factory=Generated)
    benchmark: str = "ref-youtube-vos"
    root: Path | None = None
    split: str = "valid"
    clip_length: int = 36


@dataclass
class Ablation:
    """A table of variants.

    Attributes:
        title: of the table.
        recipe: what all variants are trained with; relative to this file.
        run: folder of the runs, of the data that they are scored on, and of the tables.
        seeds: each variant is trained with each.
        changes: `key=value` changes to the recipe, for all variants.
        scored: what they are scored on.
        variants: the rows. The first is what the others are compared with.
        name: of the table's files.
    """

    title: str
    recipe: Path
    run: Path
    variants: list[Variant]
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    changes: list[str] = field(default_factory=list)
    scored: Scored = field(default_factory=Scored)
    name: str = "ablation"


@dataclass(frozen=True)
class Result:
    """One variant with one seed.

    Attributes:
        region, boundary, both: J, F and J&F in percent.
        parameters: all but those of the two encoders.
        operators: SCF operators as the paper counts them.
        frames_per_second: of the whole network, on one clip with one expression.
    """

    region: float
    boundary: float
    both: float
    parameters: int
    operators: int
    frames_per_second: float


Results = dict[tuple[str, int], Result]
"""By the variant's name and the seed."""


def read_ablation(path: Path, changes: Sequence[str] = ()) -> Ablation:
    """Read a table of variants.

    Args:
        path: the YAML file; its keys are the fields of `Ablation`.
        changes: `key=value`, such as `run=elsewhere` or `seeds=[0]`.

    Raises:
        InputError: the file is missing or no YAML, a key is unknown, a value is of the wrong type.
    """
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--ablation", action="config")
    parser.add_class_arguments(Ablation)
    made = vars(read_settings(parser, "ablation", path, changes))
    made.pop("ablation")
    ablation = Ablation(**made | {"recipe": path.parent / made["recipe"], "name": path.stem})
    names, places = [v.name for v in ablation.variants], [v.place for v in ablation.variants]
    if not len(set(names)) == len(set(places)) == len(names) or not all(re.fullmatch(r"[\w-]+", p) for p in places):
        raise InputError(
            f"{path}: each variant needs a name and a folder of its own, the latter (by default the name) of letters, "
            "digits and hyphens."
        )
    if len(set(ablation.seeds)) < len(ablation.seeds):
        raise InputError(f"{path}: give each seed once.")
    if not ablation.variants or not ablation.seeds:
        raise InputError(f"{path}: give at least one variant and one seed.")
    if ablation.scored.benchmark not in BENCHMARKS:
        raise InputError(f"{path}: scored.benchmark must be {' or '.join(BENCHMARKS)}.")
    return ablation


def recipe_of(ablation: Ablation, variant: Variant, seed: int) -> Recipe:
    """The training of one variant with one seed."""
    run = ablation.run / variant.place / f"seed-{seed}"
    return read_recipe(ablation.recipe, [*ablation.changes, *variant.changes, f"seed={seed}", f"run={run}"])


def run_ablation(
    ablation: Ablation,
    train: Callable[[Recipe], Path] = train_recipe,
    report: Callable[[str], None] = lambda line: None,
) -> Results:
    """Train and score what is not yet; the table is written after each run.

    What is finished is not run again, and a training that was cut off goes on from its checkpoint. All variants get
    the first seed before any gets the second.

    Args:
        ablation: the table.
        train: trains a recipe and gives the model's folder.
        report: called with a line before each run.

    Raises:
        InputError: a recipe or the data cannot be used; or a run's folder was begun with other settings.
    """
    # Read all of it first: a mistake in the last variant is not found after days.
    recipes = {(v.name, seed): recipe_of(ablation, v, seed) for seed in ablation.seeds for v in ablation.variants}
    results: Results = {}
    todo = []
    for key, recipe in recipes.items():
        _check_settings(recipe, ablation.scored)
        found = _read_scores(recipe.run)
        if found is None:
            todo.append(key)
        else:
            results[key] = found
    data = open_scored(ablation) if todo else None
    for number, key in enumerate(todo, start=1):
        report(f"{number} of {len(todo)}: {key[0]}, seed {key[1]}")
        assert data is not None
        results[key] = _run(recipes[key], ablation.scored, data, train)
        write_table(ablation, results)
    write_table(ablation, results)
    return results


def _run(recipe: Recipe, scored: Scored, data: VideoData, train: Callable[[Recipe], Path]) -> Result:
    from sgmg.evaluation.expressions import evaluate
    from sgmg.evaluation.video_masks import ModelPredictor

    recipe.run.mkdir(parents=True, exist_ok=True)
    (recipe.run / SETTINGS).write_text(_settings(recipe, scored), encoding="utf-8")
    segmenter = Segmenter.from_pretrained(train(recipe))
    overall = evaluate(data, ModelPredictor(segmenter, scored.clip_length)).overall
    if overall.region is None or overall.boundary is None or overall.both is None:
        raise InputError("No expression of the data that variants are scored on has its object in a video.")
    summary = summarise(segmenter.model)
    result = Result(
        overall.region,
        overall.boundary,
        overall.both,
        summary.without_encoders,
        summary.operators,
        frames_per_second(segmenter.model),
    )
    draft = recipe.run / f".{SCORES}"
    draft.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    draft.replace(recipe.run / SCORES)
    return result


def _settings(recipe: Recipe, scored: Scored) -> str:
    """What a result depends on, as text that is the same for the same settings."""
    return f"{replace(recipe, run=Path())!r}\n{scored!r}\n"


def _check_settings(recipe: Recipe, scored: Scored) -> None:
    path = recipe.run / SETTINGS
    if path.is_file() and path.read_text(encoding="utf-8") != _settings(recipe, scored):
        raise InputError(
            f"{recipe.run} was begun with other settings: give another run=FOLDER, or delete it to run it anew."
        )


def _read_scores(run: Path) -> Result | None:
    path = run / SCORES
    if not path.is_file():
        return None
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged: delete it to score the run again.") from error


def open_scored(ablation: Ablation) -> VideoData:
    """The data that variants are scored on; generated data is written if it is not there."""
    scored = ablation.scored
    if scored.root is not None:
        data: VideoData = open_benchmark(scored.benchmark, scored.root, scored.split)
    else:
        made = scored.generated
        # Other settings, another folder.
        root = ablation.run / f"data-{hashlib.sha256(repr(made).encode()).hexdigest()[:8]}"
        if not root.is_dir():
            write_videos(root, replace(made.config, split="valid"), made.seed, made.videos, split="valid")
        data = open_benchmark("ref-youtube-vos", root, "valid")
    if not data.annotated:
        raise InputError(f"{data.list_file}: variants are scored on a split with annotations.")
    return data


@torch.inference_mode()
def frames_per_second(model: SgMg, frames: int = 8, repeats: int = 3) -> float:
    """How fast the network is: one clip, 16:9 at the model's size, one expression; the fastest of some repeats."""
    height, width = network_size((9, 16), model.config.short_side, model.config.long_side)
    clip = torch.randn(1, frames, 3, height, width, device=model.device)
    tokens = model.tokenize(["the dog on the left"])
    fastest = math.inf
    for _ in range(repeats + 1):
        start = time.perf_counter()
        prediction, visual = model(clip, None, *tokens)
        # .cpu() waits for the device.
        model.optimise_masks(prediction, visual, prediction.best_query()).cpu()
        fastest = min(fastest, time.perf_counter() - start)
    return frames / fastest


# --- tables ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """A mean over seeds, and how far it can be trusted.

    Attributes:
        mean: over n values.
        deviation: of a sample, None of a single value.
        interval: half of the mean's 95 % confidence interval (Student's t), None of a single value.
    """

    mean: float
    deviation: float | None
    interval: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more."""
        if len(values) < 2:
            return cls(values[0], None, None)
        from scipy.stats import t

        deviation = statistics.stdev(values)
        factor = float(t.ppf(0.975, len(values) - 1)) / math.sqrt(len(values))
        return cls(statistics.fmean(values), deviation, factor * deviation)


def differences(ablation: Ablation, results: Results, variant: Variant) -> list[float]:
    """J&F of a variant minus that of the first, of each seed that both have."""
    first = ablation.variants[0].name
    both = [(results.get((variant.name, seed)), results.get((first, seed))) for seed in ablation.seeds]
    return [own.both - other.both for own, other in both if own is not None and other is not None]


def markdown(ablation: Ablation, results: Results) -> str:
    """The table, with what it takes to read it."""
    first = ablation.variants[0].name
    lines = [
        f"# {ablation.title}",
        "",
        f'| variant | J&F | J | F | J&F minus "{first}" | weights, M | SCF operators, M | frames/s | paper\'s J&F |',
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for variant in ablation.variants:
        own = _of(ablation, results, variant)
        published = "" if variant.published is None else f"{variant.published:.1f}"
        if not own:
            lines.append(f"| {variant.name} | not run yet | | | | | | | {published} |")
            continue
        less = differences(ablation, results, variant)
        cells = [
            _plus_minus(Spread.of([result.both for result in own])),
            *(f"{statistics.fmean(values):.1f}" for values in ([r.region for r in own], [r.boundary for r in own])),
            "" if variant.name == first or not less else _interval(Spread.of(less)),
            f"{own[0].parameters / 1e6:.2f}",
            f"{own[0].operators / 1e6:.2f}",
            f"{statistics.median(result.frames_per_second for result in own):.1f}",
            published,
        ]
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    seeds = ", ".join(map(str, ablation.seeds))
    lines += [
        "",
        f"J&F: mean ± standard deviation over the seeds {seeds} (those that are done), in percent. Differences are of "
        "runs with the same seed, which saw the same data: mean and 95 % confidence interval (Student's t); where the "
        "interval holds 0, these runs do not tell the two apart. Weights: all but the two encoders'. SCF operators: "
        "one for each level, as the paper counts. Frames per second: one clip of 8 frames, one expression, where the "
        "table was made; on a machine that does other things too, they tell little.",
        "",
        "| J&F of each run | " + " | ".join(f"seed {seed}" for seed in ablation.seeds) + " |",
        "| --- |" + " ---: |" * len(ablation.seeds),
    ]
    for variant in ablation.variants:
        runs = [results.get((variant.name, seed)) for seed in ablation.seeds]
        lines.append(f"| {variant.name} | " + " | ".join("" if r is None else f"{r.both:.1f}" for r in runs) + " |")
    return "\n".join(lines) + "\n"


def write_table(ablation: Ablation, results: Results) -> None:
    """Write ``RUN/NAME.md``, and, once there is a result, the plot ``RUN/NAME.png`` and ``.svg``."""
    ablation.run.mkdir(parents=True, exist_ok=True)
    (ablation.run / f"{ablation.name}.md").write_text(markdown(ablation, results), encoding="utf-8")
    if results:
        draw(ablation, results, ablation.run)


def draw(ablation: Ablation, results: Results, folder: Path) -> None:
    """Every run as a dot, the mean of each variant as a bar, and what the paper reports."""
    count = len(ablation.variants)
    with figure(6.4, 1.2 + 0.45 * count) as fig:
        axes = fig.subplots()
        for row, variant in enumerate(ablation.variants):
            own = [result.both for result in _of(ablation, results, variant)]
            axes.plot(
                own, [row] * len(own), "o", color=BLUE, ms=6, mec=INK, mew=0.5, label="a run" if not row else None
            )
            if own:
                mean = statistics.fmean(own)
                axes.plot([mean, mean], [row - 0.25, row + 0.25], color=RED, lw=2.5, label=None if row else "mean")
                axes.annotate(
                    f"{mean:.1f}", (max(own), row), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8
                )
        labels = [v.name if v.published is None else f"{v.name}\n(paper: {v.published:.1f})" for v in ablation.variants]
        axes.set_yticks(range(count), labels)
        axes.set(ylim=(count - 0.5, -0.5), xlabel="J&F, %")
        fig.suptitle(shortened(ablation.title, 90), fontsize=10)
        axes.margins(x=0.15)
        axes.grid(axis="x", color=FAINT, alpha=0.3)
        fig.legend(loc="outside lower right", ncols=2)
        save(fig, folder, ablation.name)


def _of(ablation: Ablation, results: Results, variant: Variant) -> list[Result]:
    return [results[variant.name, seed] for seed in ablation.seeds if (variant.name, seed) in results]


def _plus_minus(spread: Spread) -> str:
    return f"{spread.mean:.1f}" if spread.deviation is None else f"{spread.mean:.1f} ± {spread.deviation:.1f}"


def _interval(spread: Spread) -> str:
    if spread.interval is None:
        return f"{spread.mean:+.1f}"
    low, high = spread.mean - spread.interval, spread.mean + spread.interval
    return f"{spread.mean:+.1f} [{low:+.1f}, {high:+.1f}]"
