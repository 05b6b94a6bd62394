"""The losses of the matched queries, for every decoder layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, softplus
from torchvision.ops import box_convert, generalized_box_iou_loss, sigmoid_focal_loss

from sgmg.model import Prediction
from sgmg.training.batch import Targets
from sgmg.training.matching import FOCAL_ALPHA, FOCAL_GAMMA, CostWeights, masks_at_patches, match

MaskOptimiser = Callable[[Prediction, Tensor], Tensor]
"""From a layer's prediction and the matched queries (E,) to mask logits (E, T, H, W)."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, as published, and what they are taken on.

    Attributes:
        ce: focal loss of the scores of all queries.
        bbox: L1 distance of the boxes.
        giou: generalised IoU of the boxes.
        mask: focal loss of masks, optimised and patch masks alike.
        dice: dice loss of masks, optimised and patch masks alike.
        absent_frames: whether box losses also count frames without the object, whose box is all zeros, as
            published, or only frames that show it.
        optimise_intermediate: whether intermediate layers' masks pass through the mask optimiser too, as
            published; without, they have no `loss_mask` and `loss_dice` and training is faster.
    """

    ce: float = 2.0
    bbox: float = 5.0
    giou: float = 2.0
    mask: float = 2.0
    dice: float = 5.0
    absent_frames: bool = True
    optimise_intermediate: bool = True


class _FocalSum(torch.autograd.Function):
    """Sum of the focal loss (gamma 2) over each row, with its gradient written out.

    The same as torchvision's `sigmoid_focal_loss`, in a third of the passes over memory: on full-size masks of
    every decoder layer that is a good part of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, truth: Tensor) -> Tensor:
        """Logits and boolean truth, both (rows, pixels), to (rows,)."""
        wrong = torch.where(truth, -logits, logits)  # logits of being wrong
        entropy = softplus(wrong)
        probability = wrong.sigmoid_()
        loss = probability.square().mul_(entropy)
        ctx.save_for_backward(probability, entropy, truth)
        of_truth = (loss * truth).sum(1)
        return (1 - FOCAL_ALPHA) * (loss.sum(1) - of_truth) + FOCAL_ALPHA * of_truth

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """d(p² · ce) / d(wrong) = p² · (2 · (1 - p) · ce + p), where ce = -log(1 - p)."""
        probability, entropy, truth = ctx.saved_tensors
        slope = (1 - probability).mul_(entropy).mul_(2).add_(probability).mul_(probability.square())
        grad = grad[:, None]
        return slope.mul_(torch.where(truth, -FOCAL_ALPHA * grad, (1 - FOCAL_ALPHA) * grad)), None


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal loss, a mean over the pixels of each row of logits and boolean truth (E, pixels); (E,)."""
    return _FocalSum.apply(logits, truth) / logits.shape[1]


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice loss of each row of logits and boolean truth (E, pixels); (E,)."""
    probability = logits.sigmoid()
    overlap = (probability * truth).sum(-1)
    return 1 - (2 * overlap + 1) / (probability.sum(-1) + truth.sum(-1) + 1)


class Criterion:
    """Matches every decoder layer to the ground truth and gives its losses.

    A clip that its object is in no frame of (the expression names a thing that is not there) teaches the
    scores alone: all its queries are negatives, its boxes and masks have no loss.
    """

    def __init__(self, losses: LossConfig | None = None, costs: CostWeights | None = None) -> None:
        self.config = losses or LossConfig()
        self.costs = costs or CostWeights()

    def weight(self, name: str) -> float:
        """The weight of a loss by its name, such as `loss_mask_low_0`."""
        return float(getattr(self.config, name.split("_")[1]))

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum of losses."""
        return torch.stack([self.weight(name) * loss for name, loss in losses.items()]).sum()

    def __call__(
        self, prediction: Prediction, targets: Targets, optimise: MaskOptimiser, normaliser: Tensor
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The losses of all layers.

        Args:
            prediction: of E expressions, with its intermediate layers.
            targets: of the same E expressions.
            optimise: gives a layer's mask logits of the matched queries at full resolution.
            normaliser: what losses are divided by, a scalar: the number of frames in the batch that show
                their object (a mean over processes), at least 1.

        Returns:
            Unweighted scalar losses: `loss_ce`, `loss_bbox`, `loss_giou`, `loss_mask`, `loss_dice`,
            `loss_mask_low`, `loss_dice_low`, and with suffixes `_0`, `_1`, … those of intermediate layers;
            `loss_mask_observed` and `loss_dice_observed` where decoded features are observed; and the matched
            queries (E,) of the last layer, then of each intermediate one.
        """
        losses: dict[str, Tensor] = {}
        matched = []
        layers = [("", prediction), *((f"_{i}", layer) for i, layer in enumerate(prediction.intermediate))]
        for suffix, layer in layers:
            query = match(layer, targets, self.costs)
            optimised = None
            if not suffix or self.config.optimise_intermediate:
                optimised = optimise(layer, query)
            for name, loss in self._layer(layer, targets, query, optimised).items():
                losses[name + suffix] = loss / normaliser
            matched.append(query)
        return losses, matched

    def _layer(
        self, prediction: Prediction, targets: Targets, query: Tensor, optimised: Tensor | None
    ) -> dict[str, Tensor]:
        row = torch.arange(len(query), device=query.device)
        there = targets.present.any(1).float()  # (E,)

        logits = prediction.logits.float().squeeze(-1)  # (E, T, N)
        positives = torch.zeros_like(logits)
        positives[row, :, query] = targets.present.to(logits.dtype)
        losses = {"loss_ce": sigmoid_focal_loss(logits, positives, FOCAL_ALPHA, FOCAL_GAMMA, reduction="sum")}

        boxes = prediction.boxes[row, :, query].float()  # (E, T, 4)
        counted = (there[:, None] if self.config.absent_frames else targets.present).expand(boxes.shape[:2])
        losses["loss_bbox"] = ((boxes - targets.boxes).abs().sum(-1) * counted).sum()
        corners, truth_corners = (box_convert(b, "cxcywh", "xyxy") for b in (boxes, targets.boxes))
        losses["loss_giou"] = (generalized_box_iou_loss(corners, truth_corners) * counted).sum()

        if optimised is not None:
            losses |= self._masks(optimised, targets.masks, there, "")
        drawn = {"_low": prediction.patch_masks, "_observed": prediction.observed}
        for suffix, patches in drawn.items():
            if patches is not None:
                picture = pixel_shuffle(patches[row, :, query], 4)[:, :, 0]  # (E, T, h, w)
                losses |= self._masks(picture, masks_at_patches(targets.masks, picture.shape), there, suffix)
        return losses

    @staticmethod
    def _masks(logits: Tensor, truth: Tensor, there: Tensor, suffix: str) -> dict[str, Tensor]:
        logits = logits.float().flatten(1)
        truth = truth.flatten(1)
        return {
            f"loss_mask{suffix}": (focal_loss(logits, truth) * there).sum(),
            f"loss_dice{suffix}": (dice_loss(logits, truth) * there).sum(),
        }
