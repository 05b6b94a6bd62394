"""SgMg and its losses as a LightningModule."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sgmg.data.sample import plain_sentence
from sgmg.errors import InputError
from sgmg.model import Prediction, SgMg, VisualFeatures
from sgmg.model.pixels import normalised
from sgmg.training.averaging import WeightAverage
from sgmg.training.batch import Batch
from sgmg.training.losses import Criterion, LossConfig
from sgmg.training.matching import CostWeights
from sgmg.training.schedule import OptimiserConfig, learning_rate_factor
from sgmg.training.sharding import shard, whole
from sgmg.training.validation import Found, Measure, RegionAndBoundary

#: Clips of a validation that are kept to be looked at.
EXAMPLES = 6


class NonFiniteError(InputError):
    """A loss or gradient is infinite or not a number; training must not go on."""


@dataclass(frozen=True)
class Example:
    """A validation clip with what the network found in it, to be looked at.

    Attributes:
        frames: (K, H, W, 3) uint8 RGB.
        masks: (E, K, H, W) bool, of the network.
        truth: (E, K, H, W) bool.
        expressions: the E sentences.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    expressions: list[str]


class SgMgTraining(LightningModule):
    """Trains a network on batches of clips, each with one or more expressions.

    The random numbers of a step (dropout) depend on the seed, the process and the number of the batch alone,
    so that a training that was cut off goes on as if it had not been.

    Args:
        model: the network.
        losses: weights of the losses.
        costs: weights of the matching cost.
        optimiser: learning rates, schedule, what is frozen.
        seed: of dropout.
        measure: what validation measures; by default J and F.
    """

    #: Frozen parameters are not in checkpoints: they come from the model that training started from.
    strict_loading = False

    def __init__(
        self,
        model: SgMg,
        losses: LossConfig | None = None,
        costs: CostWeights | None = None,
        optimiser: OptimiserConfig | None = None,
        seed: int = 0,
        measure: Measure[Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.measure = measure or RegionAndBoundary()
        self.criterion = Criterion(losses, costs)
        self.optimiser = optimiser or OptimiserConfig()
        self.seed = seed
        self.batches_seen = 0
        self._running: dict[str, Tensor] = {}
        self._batches_running = 0
        self._names: list[str] = []
        self._wrong = ""
        #: Mean losses by name, one entry each time that they were logged in this epoch.
        self.logged: list[dict[str, float]] = []
        self._validated: list[Any] = []
        #: The first clips of this process' share of the last validation, at most `EXAMPLES`.
        self.examples: list[Example] = []
        #: Results of the last validation by name.
        self.validation: dict[str, float] = {}
        for frozen in self._frozen():
            frozen.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise InputError(f"Nothing is left to train: {', '.join(self.optimiser.only)} is frozen.")
        self.average = self._begin_average()
        self.train()

    def _begin_average(self) -> WeightAverage | None:
        decay = self.optimiser.average_decay
        return WeightAverage(self.model.named_parameters(), decay) if decay is not None else None

    def configure_model(self) -> None:
        """Spread the weights over processes where the strategy does that, and their average with them."""
        if self.device_mesh is not None:
            shard(self, self.device_mesh["data_parallel"], "training_step", "validation_step")
            self.average = self._begin_average()

    def _frozen(self) -> list[nn.Module]:
        parts, only = dict(self.model.named_children()), self.optimiser.only
        if unknown := [name for name in only if name not in parts]:
            raise InputError(f"The network has no part '{unknown[0]}' to train; it has {', '.join(parts)}.")
        frozen = [part for name, part in parts.items() if only and name not in only]
        if not self.optimiser.train_text_encoder:
            frozen.append(self.model.text_encoder.backbone)
        if not self.optimiser.train_visual_encoder:
            frozen.append(self.model.visual_encoder)
        if self.model.detector is not None:
            frozen.append(self.model.detector)
        return frozen

    def train(self, mode: bool = True) -> "SgMgTraining":
        """Training mode, but for frozen encoders; batch norms of an image encoder keep their statistics."""
        super().train(mode)
        for frozen in self._frozen():
            frozen.eval()
        for module in self.model.visual_encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def averaged(self) -> AbstractContextManager[None]:
        """While this lasts, the network has its averaged weights, if they are kept."""
        return self.average.applied() if self.average is not None else nullcontext()

    def predict(self, batch: Batch) -> tuple[Prediction, VisualFeatures]:
        """What the network says of a batch's expressions, and the visual features that their masks are optimised with.

        The visual encoder runs once for each clip.
        """
        text = self.model.encode_text(*self.model.tokenize([plain_sentence(e) for e in batch.expressions]))
        frames = normalised(batch.frames)
        if batch.padding_mask is not None:
            frames = frames.masked_fill(batch.padding_mask[:, None, None], 0)
        visual = self.model.encode_video(frames, batch.padding_mask)
        if batch.annotated is not None:  # the encoder sees whole clips, the rest what has a ground truth
            visual = visual.select(batch.annotated)
        prediction = self.model.decode(visual, text, batch.counts)
        # Clips with as many expressions each share their stages as they are.
        return prediction, visual if len(set(batch.counts)) == 1 else replace(visual, levels=[]).one_each(batch.counts)

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """All losses of a batch by name, and their weighted sum."""
        prediction, visual = self.predict(batch)
        present = batch.targets.present.sum().float()
        if self._trainer is not None:
            present = self.trainer.strategy.reduce(present, reduce_op="mean")
        losses, _ = self.criterion(
            prediction,
            batch.targets,
            lambda layer, query: self.model.optimise_masks(layer, visual, query),
            normaliser=present.clamp(min=1),
        )
        return losses, self.criterion.total(losses)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted loss of a batch; stops the run where it is not finite."""
        self.batches_seen += 1
        self._names = batch.names
        # One stream of random numbers for every process and batch: nothing of it needs to be in checkpoints.
        torch.manual_seed(hash((self.seed, self.batches_seen, self.global_rank)))
        losses, total = self.losses(batch)
        if not torch.isfinite(total):
            self._wrong = self._not_finite("loss", losses)
            # Other processes wait for this one's gradient, which tells them to stop too.
            if self.trainer.world_size == 1 or self._scaled:
                raise NonFiniteError(self._wrong)
        self._count({"loss": total, **losses})
        return total

    @property
    def _scaled(self) -> bool:
        """Whether a scaler of half precision leaves out steps whose gradient is not finite."""
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None

    def _not_finite(self, what: str, losses: dict[str, Tensor] | None = None) -> str:
        wrong = [name for name, loss in (losses or {}).items() if not torch.isfinite(loss)]
        named = f" ({', '.join(wrong)})" if wrong else ""
        return (
            f"the {what}{named} of batch {self.batches_seen} is not finite, so training stopped without a "
            f"checkpoint; look at its samples, or lower the learning rate: {'; '.join(self._names)}"
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop where a gradient is not finite, before it reaches the weights."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        # In half precision the scaler leaves out such a step and goes on with a smaller scale.
        if not self._scaled and not torch.isfinite(norm):
            found = self.from_all(self._wrong)  # the gradient is the same in all processes
            raise NonFiniteError(next(filter(None, found), self._not_finite("gradient")))
        self._running["gradient_norm"] = norm * self._batches_running

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then take the new weights into their average, before a checkpoint may be written."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update()

    def _count(self, losses: dict[str, Tensor]) -> None:
        self._batches_running += 1
        for name, loss in losses.items():
            self._running[name] = self._running.get(name, torch.zeros_like(loss)) + loss.detach()
        self.log("loss", losses["loss"].detach(), prog_bar=True, logger=False)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log means of losses, over batches and processes, every so many optimiser steps."""
        if self.trainer.fit_loop.epoch_loop._should_accumulate():
            return
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            names, sums = list(self._running), torch.stack(list(self._running.values()))
            means = self.trainer.strategy.reduce(sums / self._batches_running, reduce_op="mean")
            values = {f"train/{name}": mean for name, mean in zip(names, means.tolist(), strict=True)}
            for group in self.trainer.optimizers[0].param_groups:
                values[f"learning_rate/{group['name']}"] = group["lr"]
            for logger in self.loggers:
                logger.log_metrics(values, step=self.global_step)
            self.logged.append(dict(zip(names, means.tolist(), strict=True)))
            self._running, self._batches_running = {}, 0

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's means anew."""
        self.logged = []

    def on_validation_epoch_start(self) -> None:
        """Validate the averaged weights, if they are kept."""
        self._validated, self.examples = [], []
        self._averaged = self.averaged()
        self._averaged.__enter__()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the masks of each expression: of the best query, or of all."""
        prediction, visual = self.predict(batch)
        best = prediction.best_query()  # (E,)
        every = prediction.logits[..., 0].float().sigmoid().transpose(1, 2)  # (E, N, K)
        queries = best[:, None]
        if self.measure.every_query:
            queries = torch.arange(every.shape[1], device=best.device).expand(len(best), -1)
        scores = every.take_along_dim(queries[..., None], 1).cpu().numpy()  # (E, Q, K)
        height, width = batch.size
        masks = (self.model.optimise_masks(prediction, visual, queries) > 0)[..., :height, :width].cpu().numpy()
        truth = batch.targets.masks[..., :height, :width].cpu().numpy()
        for found in map(Found, batch.names, batch.kinds, truth, masks, scores):
            self._validated.append(self.measure.row(found))
        if len(self.examples) < EXAMPLES:
            shown = slice(None) if batch.annotated is None else batch.annotated[0].cpu()
            frames = batch.frames[0, shown, :, :height, :width].permute(0, 2, 3, 1).cpu().numpy()
            of_best = masks[range(len(masks)), (queries == best[:, None]).int().argmax(1).cpu()]
            self.examples.append(Example(frames, of_best, truth, batch.expressions))

    def on_validation_epoch_end(self) -> None:
        """Log the scores over the clips of all processes."""
        self._averaged.__exit__(None, None, None)
        values = self.measure.summary([row for rows in self.from_all(self._validated) for row in rows])
        for logger in self.loggers:
            logger.log_metrics(values, step=self.global_step)
        best_by = self.measure.best_by
        if best_by in values:
            self.log(best_by, values[best_by], prog_bar=True, logger=False, rank_zero_only=True)
        self.validation = values

    def from_all(self, own: Any) -> list[Any]:
        """What each process has, in their order."""
        gathered: list[Any] = [own]
        if self.trainer.world_size > 1:
            gathered = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, own)
        return gathered

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW over the trained parameters in three groups, each with its learning rate."""
        config = self.optimiser
        groups: dict[str, list[nn.Parameter]] = {"rest": [], "visual": [], "text": []}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                encoder = {"text_encoder.backbone": "text", "visual_encoder": "visual"}
                owner = next((g for prefix, g in encoder.items() if name.startswith(prefix + ".")), "rest")
                groups[owner].append(parameter)
        rates = {
            "rest": config.learning_rate,
            "visual": config.visual_learning_rate,
            "text": config.text_learning_rate,
        }
        optimiser = AdamW(
            [{"name": name, "params": group, "lr": rates[name]} for name, group in groups.items() if group],
            weight_decay=config.weight_decay,
        )
        steps = self.trainer.max_steps
        if steps < 0:
            steps = int(self.trainer.estimated_stepping_batches) if config.schedule == "cosine" else 0
        factor = learning_rate_factor(config, steps, self._steps_per_epoch)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": LambdaLR(optimiser, factor), "interval": "step"},
        }

    def _steps_per_epoch(self) -> float:
        """Infinite until the data is read; an epoch's last batches make a step, however few they are."""
        steps = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        return math.ceil(steps) if math.isfinite(steps) else steps

    @property
    def _clips_a_batch(self) -> int:
        """Clips of the batches of all processes."""
        return int(self.trainer.world_size * self.trainer.datamodule.config.batch_size)  # type: ignore[attr-defined]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen; keep the average and the place in the data."""
        frozen = {f"model.{name}" for name, parameter in self.model.named_parameters() if not parameter.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}
        checkpoint["batches_seen"] = self.batches_seen
        checkpoint["clips_seen"] = self.batches_seen * self._clips_a_batch
        if self.average is not None:
            checkpoint["average"] = self.average.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where a checkpoint stopped, with the first whole batch after the last clip that was seen."""
        self.batches_seen = checkpoint["batches_seen"]
        if "clips_seen" in checkpoint:  # other processes, or batches, may go on than those that stopped
            self.batches_seen = -(-checkpoint["clips_seen"] // self._clips_a_batch)
        if self.average is not None and "average" in checkpoint:
            self.average.load_state_dict(checkpoint["average"])
