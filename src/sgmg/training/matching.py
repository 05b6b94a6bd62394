"""Which query stands for the object: Hungarian matching of each clip's queries to its one instance."""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import pixel_shuffle, softplus
from torchvision.ops import box_convert, generalized_box_iou_loss

from sgmg.model import Prediction
from sgmg.training.batch import Targets

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True)
class CostWeights:
    """Weights of the terms of the matching cost, as published."""

    score: float = 2.0
    bbox: float = 5.0
    giou: float = 2.0
    mask: float = 2.0
    dice: float = 5.0


def focal_terms(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The focal loss that each logit would have as a positive, and as a negative; both shaped like logits."""
    probability = logits.sigmoid()
    positive = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * softplus(-logits)
    negative = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * softplus(logits)
    return positive, negative


def masks_at_patches(masks: Tensor, size: torch.Size) -> Tensor:
    """Ground truth (..., H, W) sampled at the pixels of patch masks of `size` (..., h, w): [1::2, 1::2]
    where those are at stride 2, as published."""
    stride = masks.shape[-1] // size[-1]
    return masks[..., stride // 2 :: stride, stride // 2 :: stride]


@torch.no_grad()
def matching_cost(prediction: Prediction, targets: Targets, weights: CostWeights | None = None) -> Tensor:
    """The cost of each query of each clip as the expression's instance.

    Args:
        prediction: of E expressions, with N queries.
        targets: of the same E expressions.
        weights: of the cost's terms.

    Returns:
        (E, N) float32. The score is costed over the frames with the object, boxes over all frames, masks over
        all pixels of the clip, at the stride of the patch masks' pixels.
    """
    weights = weights or CostWeights()
    logits = prediction.logits.float().squeeze(-1)  # (E, T, N)
    present = targets.present.to(logits.dtype)[..., None]  # (E, T, 1)
    positive, negative = focal_terms(logits)
    score = ((positive - negative) * present).sum(1) / present.sum(1).clamp(min=1)  # (E, N)

    boxes = prediction.boxes.float()  # (E, T, N, 4)
    bbox = (boxes - targets.boxes[:, :, None]).abs().sum(-1).mean(1)
    corners = box_convert(boxes, "cxcywh", "xyxy")
    target_corners = box_convert(targets.boxes, "cxcywh", "xyxy")
    giou = 1 - generalized_box_iou_loss(corners, target_corners[:, :, None].expand_as(corners)).mean(1)

    patches = pixel_shuffle(prediction.patch_masks.float(), 4)  # (E, T, N, h, w)
    masks = patches.transpose(1, 2).flatten(2)  # (E, N, pixels)
    truth = masks_at_patches(targets.masks, patches.shape).to(masks.dtype).flatten(1)[..., None]
    positive, negative = focal_terms(masks)
    mask = ((positive - negative) @ truth)[..., 0] + negative.sum(-1)
    mask = mask / masks.shape[-1]
    probability = masks.sigmoid()
    overlap = (probability @ truth)[..., 0]
    dice = (2 * overlap + 1) / (probability.sum(-1) + truth.sum(1) + 1)

    return weights.score * score + weights.bbox * bbox - weights.giou * giou + weights.mask * mask - weights.dice * dice


def match(prediction: Prediction, targets: Targets, weights: CostWeights | None = None) -> Tensor:
    """The query that stands for each expression's instance, (E,) int64, by the Hungarian algorithm."""
    # What is not a number is caught at the loss, which names the samples.
    cost = matching_cost(prediction, targets, weights).nan_to_num()
    # One instance per clip: each clip is an assignment of its own, of one column.
    chosen = [int(linear_sum_assignment(clip[:, None])[0][0]) for clip in cost.cpu().numpy()]
    return torch.tensor(chosen, device=cost.device)
