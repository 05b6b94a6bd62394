"""What a training that a test starts in processes of its own tells that test, and does at its word."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback


class Witness(Callback):
    """Notes the samples of each batch in `notes/RANK.jsonl`; kills process 1 once, as nothing can be done against.

    Args:
        notes: folder.
        kill_at: number of the batch in which the process ends, after its backward pass; 0 for none.
    """

    def __init__(self, notes: str, kill_at: int = 0) -> None:
        self.notes, self.kill_at = Path(notes), kill_at

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.notes.mkdir(parents=True, exist_ok=True)
        with (self.notes / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps({"batch": pl_module.batches_seen + 1, "names": batch.names}) + "\n")

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        killed = self.notes / "killed"
        if trainer.global_rank == 1 and pl_module.batches_seen == self.kill_at and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Spoiler(Callback):
    """Makes the loss of process 1 no number in a batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == 1 and pl_module.batches_seen + 1 == self.batch:
            batch.targets.boxes.fill_(float("nan"))
