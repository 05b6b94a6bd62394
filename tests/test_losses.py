"""Matching and losses, on predictions made by hand."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss

from sgmg.model import Prediction
from sgmg.training.batch import Targets
from sgmg.training.losses import Criterion, LossConfig, focal_loss
from sgmg.training.matching import CostWeights, match, matching_cost

EXPRESSIONS, FRAMES, QUERIES, SIZE = 2, 3, 4, 32


def square_targets() -> Targets:
    """A 16-pixel square in every frame of both clips."""
    masks = torch.zeros(EXPRESSIONS, FRAMES, SIZE, SIZE, dtype=torch.bool)
    masks[..., 8:24, 8:24] = True
    boxes = torch.tensor([0.5, 0.5, 0.5, 0.5]).expand(EXPRESSIONS, FRAMES, 4).clone()
    return Targets(masks, boxes, torch.ones(EXPRESSIONS, FRAMES, dtype=torch.bool))


def blank_prediction() -> Prediction:
    """Every query says that there is nothing, in a small box at the corner."""
    boxes = torch.full((EXPRESSIONS, FRAMES, QUERIES, 4), 0.1)
    patches = torch.full((EXPRESSIONS, FRAMES, QUERIES, 16, SIZE // 8, SIZE // 8), -8.0)
    return Prediction(torch.full((EXPRESSIONS, FRAMES, QUERIES, 1), -4.0), boxes, patches)


def draw(prediction: Prediction, expression: int, query: int, targets: Targets) -> None:
    """Let a query draw the ground truth."""
    small = targets.masks[expression, :, 1::2, 1::2].float() * 16 - 8  # at stride 2
    prediction.patch_masks[expression, :, query] = torch.nn.functional.pixel_unshuffle(small[:, None], 4)
    prediction.boxes[expression, :, query] = targets.boxes[expression]
    prediction.logits[expression, :, query] = 4.0


def full_size(layer: Prediction, query: Tensor) -> Tensor:
    """In place of the mask optimiser: the patch masks, enlarged."""
    patches = layer.patch_masks[torch.arange(len(query)), :, query].flatten(0, 1)
    small = torch.nn.functional.pixel_shuffle(patches, 4)
    return torch.nn.functional.interpolate(small, scale_factor=2).view(len(query), FRAMES, SIZE, SIZE)


def test_the_query_that_draws_the_object_is_matched() -> None:
    targets, prediction = square_targets(), blank_prediction()
    draw(prediction, 0, 2, targets)
    draw(prediction, 1, 3, targets)
    assert match(prediction, targets).tolist() == [2, 3]
    assert matching_cost(prediction, targets).shape == (EXPRESSIONS, QUERIES)


@pytest.mark.parametrize("term", ["score", "bbox", "giou", "mask", "dice"])
def test_each_term_of_the_matching_cost(term: str) -> None:
    """Of one query, computed by torchvision's functions; scores count where the object is."""
    torch.manual_seed(0)
    targets, prediction = square_targets(), blank_prediction()
    targets.present[0, 1] = False
    for part in (prediction.logits, prediction.boxes, prediction.patch_masks):
        part.copy_(torch.rand_like(part))
    none = dict.fromkeys(["score", "bbox", "giou", "mask", "dice"], 0.0)
    cost = matching_cost(prediction, targets, CostWeights(**none | {term: 1.0}))[0, 2]
    logit, boxes = prediction.logits[0, :, 2, 0][targets.present[0]], prediction.boxes[0, :, 2]
    corners = [box_convert(one, "cxcywh", "xyxy") for one in (boxes, targets.boxes[0])]
    drawn = torch.nn.functional.pixel_shuffle(prediction.patch_masks[0, :, 2], 4)[:, 0]
    truth, sure = targets.masks[0, :, 1::2, 1::2].float(), drawn.sigmoid()
    yes, no = (sigmoid_focal_loss(logit, torch.full_like(logit, there)) for there in (1.0, 0.0))
    expected = {
        "score": (yes - no).mean(),
        "bbox": (boxes - targets.boxes[0]).abs().sum(1).mean(),
        "giou": -generalized_box_iou(*corners).diagonal().mean(),
        "mask": sigmoid_focal_loss(drawn, truth).mean(),
        "dice": -(2 * (sure * truth).sum() + 1) / (sure.sum() + truth.sum() + 1),
    }[term]
    torch.testing.assert_close(cost, expected, rtol=1e-4, atol=1e-5)


def test_losses_are_for_each_frame_that_shows_its_object() -> None:
    targets, prediction = square_targets(), blank_prediction()
    six, _ = Criterion()(prediction, targets, full_size, torch.tensor(6.0))
    three, _ = Criterion()(prediction, targets, full_size, torch.tensor(3.0))
    for name, loss in six.items():
        torch.testing.assert_close(three[name], 2 * loss)


def test_scores_are_low_where_the_object_is_not() -> None:
    """In a frame that it has left, for the query that found it too."""
    targets, prediction = square_targets(), blank_prediction()
    for expression in range(EXPRESSIONS):
        draw(prediction, expression, 0, targets)
    targets.present[0, 1], targets.masks[0, 1], targets.boxes[0, 1] = False, False, 0.0
    prediction.logits[0, 1, 0] = -8.0
    losses, matched = Criterion()(prediction, targets, full_size, torch.tensor(5.0))
    assert matched[0].tolist() == [0, 0]
    assert losses["loss_ce"] < 1e-3


def test_a_perfect_prediction_has_nearly_no_loss() -> None:
    targets, prediction = square_targets(), blank_prediction()
    for expression in range(EXPRESSIONS):
        draw(prediction, expression, 1, targets)
    losses, _ = Criterion()(prediction, targets, full_size, torch.tensor(6.0))
    assert set(losses) == {
        "loss_ce", "loss_bbox", "loss_giou", "loss_mask", "loss_dice", "loss_mask_low", "loss_dice_low"
    }  # fmt: skip
    assert all(loss < 1e-3 for loss in losses.values())


def test_every_layer_is_matched_by_itself() -> None:
    targets, last, earlier = square_targets(), blank_prediction(), blank_prediction()
    for expression in range(EXPRESSIONS):
        draw(last, expression, 0, targets)
        draw(earlier, expression, 3, targets)
    last.intermediate = [earlier]
    losses, matched = Criterion()(last, targets, full_size, torch.tensor(6.0))
    assert [query.tolist() for query in matched] == [[0, 0], [3, 3]]
    assert {f"{name}_0" for name in losses if not name.endswith("_0")} < set(losses)
    fewer, _ = Criterion(LossConfig(optimise_intermediate=False))(last, targets, full_size, torch.tensor(6.0))
    assert set(losses) - set(fewer) == {"loss_mask_0", "loss_dice_0"}


def test_a_thing_that_is_not_there_trains_the_scores_alone() -> None:
    targets, prediction = square_targets(), blank_prediction()
    targets.masks[1], targets.boxes[1], targets.present[1] = False, 0.0, False
    tensors = [prediction.logits, prediction.boxes, prediction.patch_masks]
    for tensor in tensors:
        tensor.requires_grad_()
    criterion = Criterion()
    losses, _ = criterion(prediction, targets, full_size, torch.tensor(3.0))
    criterion.total(losses).backward()
    for tensor in tensors[1:]:
        assert tensor.grad is not None
        assert tensor.grad[0].any()
        assert not tensor.grad[1].any()
    assert prediction.logits.grad is not None
    assert (prediction.logits.grad[1] > 0).all()  # every score is pushed down


def test_boxes_of_frames_without_the_object_count_only_if_asked_for() -> None:
    targets, prediction = square_targets(), blank_prediction()
    for expression in range(EXPRESSIONS):
        draw(prediction, expression, 0, targets)
    targets.present[0, 1], targets.masks[0, 1], targets.boxes[0, 1] = False, False, 0.0
    published, _ = Criterion()(prediction, targets, full_size, torch.tensor(5.0))
    present, _ = Criterion(LossConfig(absent_frames=False))(prediction, targets, full_size, torch.tensor(5.0))
    assert published["loss_bbox"] > 0.3
    assert present["loss_bbox"] < 1e-6


def test_focal_loss_is_torchvisions() -> None:
    logits = torch.randn(3, 50, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(3, 50) < 0.3
    expected = sigmoid_focal_loss(logits, truth.double()).mean(1)
    torch.testing.assert_close(focal_loss(logits, truth), expected)
    (gradient,) = torch.autograd.grad(expected.square().sum(), logits)
    (own,) = torch.autograd.grad(focal_loss(logits, truth).square().sum(), logits)
    torch.testing.assert_close(own, gradient)


def test_extreme_logits_have_finite_losses() -> None:
    logits = torch.tensor([[-1e4, 1e4, -1e4, 1e4]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[True, False, False, True]])).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("name", "weight"), [("loss_ce", 2), ("loss_bbox_0", 5), ("loss_mask_low_1", 2)])
def test_weights_go_by_name(name: str, weight: float) -> None:
    assert Criterion().weight(name) == weight
