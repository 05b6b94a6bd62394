"""What a person who watches a training looks at: losses and scores by name, and example masks."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from sgmg.overlay import Painter
from sgmg.training.module import Example, SgMgTraining

FRAMES_SHOWN = 4
"""Frames of a clip that an example shows, spread over it."""

GAP = 4
"""Pixels between the pictures of an example."""


class LossTable(Callback):
    """After each epoch, a table of the losses by name: weight, mean of the epoch and of the epoch before."""

    def __init__(self) -> None:
        self.before: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print it."""
        assert isinstance(pl_module, SgMgTraining)
        logged = pl_module.logged
        if not logged or not trainer.is_global_zero:
            return
        means = {name: sum(values[name] for values in logged) / len(logged) for name in logged[0]}
        Console(stderr=True).print(loss_table(means, self.before, pl_module, trainer.current_epoch + 1))
        self.before = means


def loss_table(means: dict[str, float], before: dict[str, float], module: SgMgTraining, epoch: int) -> Table:
    """Losses by name as a table: those of the last decoder layer, then those of earlier ones (`_0`, `_1`, …)."""
    table = Table(title=f"Losses, epoch {epoch}")
    table.add_column("loss")
    for title in ("weight", "mean", "epoch before"):
        table.add_column(title, justify="right")
    for name, mean in means.items():
        weight = f"{module.criterion.weight(name):g}" if name.startswith("loss_") else ""
        table.add_row(name, weight, f"{mean:.4f}", f"{before[name]:.4f}" if name in before else "")
    return table


class ScoreTable(Callback):
    """After each validation, a table of its scores by name: now, and in the validation before."""

    def __init__(self) -> None:
        self.before: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print it."""
        assert isinstance(pl_module, SgMgTraining)
        scores = pl_module.validation
        if not scores or trainer.sanity_checking or not trainer.is_global_zero:
            return
        title = f"Validation, epoch {trainer.current_epoch + 1}, step {trainer.global_step}"
        Console(stderr=True).print(score_table(scores, self.before, pl_module.measure.best_by, title))
        self.before = scores


def score_table(scores: dict[str, float], before: dict[str, float], best_by: str, title: str) -> Table:
    """Scores by name as a table; the one that the best model is chosen by stands out."""
    table = Table(title=title)
    table.add_column("score")
    for column in ("now", "before"):
        table.add_column(column, justify="right")
    for name, score in scores.items():
        earlier = f"{before[name]:.2f}" if name in before else ""
        table.add_row(name.removeprefix("val/"), f"{score:.2f}", earlier, style="bold" if name == best_by else None)
    return table


class Examples(Callback):
    """After each validation, pictures of its first clips: `RUN/examples/STEP/NUMBER.jpg`, and in TensorBoard.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "examples"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them."""
        assert isinstance(pl_module, SgMgTraining)
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        folder = self.folder / f"{trainer.global_step:06d}"
        boards: list[Any] = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        for number, example in enumerate(pl_module.examples):
            picture = draw_example(example)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{number}.jpg", quality=90)
            for board in boards:
                board.add_image(f"examples/{number}", picture, trainer.global_step, dataformats="HWC")


def draw_example(example: Example) -> NDArray[np.uint8]:
    """An example as one picture (H, W, 3): the network's masks above, the ground truth below, frames side by side."""
    count = len(example.frames)
    chosen = sorted({round(i) for i in np.linspace(0, count - 1, min(count, FRAMES_SHOWN))})
    rows = []
    for masks in (example.masks, example.truth):
        painter = Painter(example.expressions, example.frames.shape[1:3])
        rows.append(_beside([painter.paint(example.frames[t], masks[:, t]) for t in chosen], axis=1))
    return _beside(rows, axis=0)


def _beside(pictures: list[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Pictures after one another with a white gap between."""
    parts = []
    for picture in pictures:
        gap = list(picture.shape)
        gap[axis] = GAP
        parts += [np.full(gap, 255, np.uint8), picture]
    return np.concatenate(parts[1:], axis)
