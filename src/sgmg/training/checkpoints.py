"""Checkpoints that training goes on from, and the model folder that it leaves."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from sgmg.errors import InputError
from sgmg.model.pretrained import CONFIG
from sgmg.output import new_file, new_folder
from sgmg.training.module import SgMgTraining
from sgmg.training.sharding import whole_model

CHECKPOINT = "last.ckpt"
MODEL, BEST_MODEL = "model", "best"

BEST_SCORES = "validation.json"
"""In the folder of the best model: the step that it is of, and all its scores."""


class Checkpoints(Checkpoint):
    """Write `last.ckpt` and the model folder every so many minutes, and when training is done.

    Both are written between optimiser steps only, just before the next one, and appear when they are complete, the
    model first: training that is killed between the two goes on from the checkpoint of before and writes the model
    again. With validation, the model that was best so far is kept in a folder of its own: by J&F, mAP or overall IoU,
    as its benchmark is (`Measure.best_by`).

    Args:
        run: folder of the run.
        minutes: between checkpoints.
    """

    def __init__(self, run: Path, minutes: float) -> None:
        self.run, self.minutes = run, minutes
        self._written_at = 0.0
        self._written_step = -1
        self._between_steps = False
        self.best_by, self.best_score = "", float("-inf")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing is trained where some processes would go on and others begin.

        Raises:
            InputError: not all processes see the checkpoint that some see.
        """
        assert isinstance(pl_module, SgMgTraining)
        found = pl_module.from_all((self.run / CHECKPOINT).is_file())  # Lightning does not know yet
        if len(set(found)) > 1:
            raise InputError(
                f"Only {sum(found)} of {len(found)} processes find the checkpoint in {self.run}: a run must be in a "
                "folder that all machines share."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; an earlier training's best score is none of one that begins anew."""
        self._written_at, self._written_step = time.monotonic(), trainer.global_step
        if trainer.global_step == 0 and trainer.is_global_zero:
            (self.run / BEST_MODEL / BEST_SCORES).unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See whether an optimiser step is done with this batch."""
        self._between_steps = not trainer.fit_loop.epoch_loop._should_accumulate()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Write, if it is time: the steps so far are in the logs now, and a validation after them is done."""
        if self._between_steps and trainer.strategy.broadcast(time.monotonic() - self._written_at >= 60 * self.minutes):
            self.write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the last checkpoint lacks."""
        if not trainer.interrupted:
            self.write(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the model folder of the highest score so far."""
        assert isinstance(pl_module, SgMgTraining)
        best_by = pl_module.measure.best_by
        if best_by != self.best_by:  # what was best by another score says nothing of this one
            self.best_by, self.best_score = best_by, float("-inf")
        score = pl_module.validation.get(best_by)
        if trainer.sanity_checking or score is None or score <= self.best_score:
            return
        self.best_score = score
        scores = {"step": trainer.global_step, "best_by": best_by, **pl_module.validation}
        export(pl_module, self.run / BEST_MODEL, {BEST_SCORES: json.dumps(scores, indent=2)})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best_by": self.best_by, "best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        # Earlier versions knew J&F alone.
        self.best_by, self.best_score = state_dict.get("best_by", "val/J&F"), state_dict["best_score"]
        # A validation after the checkpoint may have found a better model, and a lower score must not replace it.
        kept = self.run / BEST_MODEL / BEST_SCORES
        if kept.is_file():
            scores = json.loads(kept.read_text())
            self.best_by, self.best_score = scores["best_by"], scores[scores["best_by"]]

    def write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoint and the model folder, unless this step's are written."""
        assert isinstance(pl_module, SgMgTraining)
        if self._written_step == trainer.global_step:
            return
        for logger in trainer.loggers:
            logger.save()  # a training that goes on from here does not log these steps again
        export(pl_module, self.run / MODEL)
        trainer.save_checkpoint(self.run / CHECKPOINT, weights_only=False)
        self._written_at, self._written_step = time.monotonic(), trainer.global_step


def export(module: SgMgTraining, folder: Path, notes: Mapping[str, str] = MappingProxyType({})) -> None:
    """Save the network, with averaged weights if there are, as a model folder; replaces one that is there.

    The first process writes. All have to take part, since each may have a part of the weights.

    Args:
        module: of the network.
        folder: to write.
        notes: texts by file name that go with the model.
    """
    with module.averaged():
        model = whole_model(module.model)
        if module.global_rank != 0 or model is None:
            return
        with new_folder(folder, overwrite=True, marker=CONFIG) as content:
            model.save_pretrained(content)
            for name, text in notes.items():
                (content / name).write_text(text)


class WholeFiles(TorchCheckpointIO):
    """Checkpoints appear when they are complete.

    Lightning's own are written to the system's folder of temporary files first, and copied from there where that is on
    another disk: whoever is killed then leaves a part of one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, or replace it.

        Raises:
            InputError: the disk is full.
        """
        with new_file(path) as draft, draft.open("wb") as file:
            torch.save(checkpoint, file)
