"""Variants of the network: one value of the configuration each."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer

from sgmg.model import ModelError, SgMg, SgMgConfig
from sgmg.model.fusion import FILTERS, Fusion, count_parameters
from sgmg.model.heads import build_mask_optimiser
from sgmg.model.summary import summarise, summarise_config
from sgmg.training.batch import Batch, Targets
from sgmg.training.module import SgMgTraining

RECIPES = Path(__file__).parents[1] / "recipes"
VARIANTS: dict[str, dict[str, Any]] = {
    "published": {},
    "spatial": {"fusion_operation": "spatial"},
    "linear": {"fusion_operation": "linear"},
    "without CPK": {"patch_kernels": False},
    "without MSO": {"mask_optimiser": False},
    "neither": {"patch_kernels": False, "mask_optimiser": False},
    "decoder": {"feature_decoder": "segment"},
    "decoder from stride 16": {"feature_decoder": "segment", "strides": (16, 32, 64)},
    "observer": {"feature_decoder": "observe"},
}


def make(**changes: Any) -> SgMg:
    torch.manual_seed(0)
    return SgMg(tiny_config(**changes), tiny_tokenizer()).eval()


def batch() -> Batch:
    """Two clips of two frames with two expressions each; the second clip is padded."""
    torch.manual_seed(1)
    masks = torch.zeros(4, 2, 160, 160, dtype=torch.bool)
    masks[:, :, 40:90, 30:100] = True
    boxes = torch.tensor([65 / 160, 65 / 160, 70 / 160, 50 / 160]).expand(4, 2, 4)
    padding = torch.zeros(2, 160, 160, dtype=torch.bool)
    padding[1, :, 128:] = True
    return Batch(
        frames=torch.randint(0, 255, (2, 2, 3, 160, 160), dtype=torch.uint8),
        padding_mask=padding,
        targets=Targets(masks, boxes, torch.ones(4, 2, dtype=torch.bool)),
        counts=[2, 2],
        expressions=["the red circle", "a dog", "the cup", "the person moving left"],
    )


@pytest.mark.parametrize(
    ("operation", "each", "million"),
    [("spectral", 591_104, 2.4), ("spatial", 1_180_160, 4.7), ("linear", 591_232, 2.4)],
)
def test_scf_operators_have_as_many_parameters_as_the_paper_counts(operation: str, each: int, million: float) -> None:
    fusion = Fusion(SgMgConfig(fusion_operation=operation), [96, 192, 384, 768])  # type: ignore[arg-type]
    assert fusion.counted_parameters() == 4 * each
    assert round(4 * each / 1e6, 1) == million
    assert {type(x) for x in (*fusion.filters_before, *fusion.filters_after)} == {FILTERS[operation]}


def test_linear_operators_are_just_larger_than_spectral_ones_at_any_width() -> None:
    for channels in (32, 64, 128, 256):
        linear, spectral = (FILTERS[name](channels).counted_parameters() for name in ("linear", "spectral"))
        assert 0 <= linear - spectral <= channels


def test_counts_of_the_published_network() -> None:
    config = SgMgConfig()
    whole, without_mso = summarise_config(config), summarise_config(SgMgConfig(mask_optimiser=False))
    assert whole.parts["SCF operators before the words"] == 4 * (591_104 + 590_080)
    assert whole.parts["mask optimiser (MSO)"] == whole.total - without_mso.total
    # Without CPK, kernels are shorter by 15 channels: 15 · (16 weights + 1 bias), each from 256 channels and a bias.
    without_cpk = summarise_config(SgMgConfig(patch_kernels=False))
    assert whole.total - without_cpk.total == 15 * 17 * 257


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_weight_is_counted_once(changes: dict[str, Any]) -> None:
    model = make(**changes)
    assert summarise(model).total == count_parameters(model)
    assert summarise(model).to_dict() == summarise_config(model.config).to_dict()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_a_forward_pass_of_every_variant(changes: dict[str, Any]) -> None:
    model = make(**changes)
    prediction, visual = model(torch.randn(1, 2, 3, 150, 170), None, *model.tokenize(["the red circle", "a dog"]))
    assert prediction.patch_masks.shape == (2, 2, 3, 16, 20, 22)
    assert model.optimise_masks(prediction, visual, prediction.best_query()).shape == (2, 2, 150, 170)
    alone = model.decode(
        model.encode_video(torch.zeros(1, 1, 3, 150, 170)), model.encode_text(*model.tokenize(["a cup"]))
    )
    assert alone.logits.shape == (1, 1, 3, 1)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_training_step_of_every_variant_reaches_every_weight(changes: dict[str, Any]) -> None:
    training = SgMgTraining(make(**changes, dropout=0.0))
    losses, total = training.losses(batch())
    total.backward()
    assert torch.isfinite(total)
    assert ("loss_mask_observed" in losses) == (changes.get("feature_decoder") == "observe")
    unreached = [name for name, p in training.model.named_parameters() if p.requires_grad and p.grad is None]
    # The published network does not use them either: the last stage's norms, or pooled text.
    assert [name for name in unreached if not name.startswith(("visual_encoder", "text_encoder"))] == []


def test_observing_changes_nothing_of_what_is_observed() -> None:
    plain, observing = make(dropout=0.0), make(dropout=0.0, feature_decoder="observe")
    missing, unexpected = observing.load_state_dict(plain.state_dict(), strict=False)
    assert all(name.startswith("observer.") for name in missing)
    assert not unexpected
    gradients = []
    for model in (plain, observing):
        _, total = SgMgTraining(model).losses(batch())
        total.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@torch.no_grad()
def test_without_cpk_patches_are_resized_cells() -> None:
    model = make(patch_kernels=False)
    prediction, _ = model(torch.randn(1, 1, 3, 160, 160), None, *model.tokenize(["a dog"]))
    picture = prediction.patch_masks_at_stride_2[0, 0]  # (N, 80, 80), from 20 x 20 cells
    rows = picture[:, 2:6]  # between two cells' centres values lie on a line
    torch.testing.assert_close(rows[:, 1] - rows[:, 0], rows[:, 2] - rows[:, 1], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_without_mso_the_mask_is_the_patch_mask_resized() -> None:
    resizer = build_mask_optimiser(tiny_config(mask_optimiser=False), [8, 8, 8, 8])
    assert count_parameters(resizer) == 0
    patches = torch.randn(1, 2, 3, 16, 5, 6)
    masks = resizer(patches, [torch.zeros(3, 8, 10, 12)])
    assert masks.shape == (1, 2, 3, 40, 48)
    picture = torch.nn.functional.pixel_shuffle(patches, 4)[..., 0, :, :].flatten(0, 1)
    expected = torch.nn.functional.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(masks[0], expected)


@torch.no_grad()
def test_spatial_and_linear_operators_see_as_far_as_they_say() -> None:
    x = torch.zeros(1, 32, 9, 9)
    changed = x.clone()
    changed[..., 4, 4] = 1
    bump = torch.ones(1, 1, 9, 9)
    for name, reach in (("linear", 0), ("spatial", 2), ("spectral", 4)):
        operator = FILTERS[name](32)
        differs = (operator(changed, bump) - operator(x, bump)).abs().amax((0, 1)) > 1e-7
        rows = differs.any(1).nonzero()
        assert int((rows - 4).abs().max()) == reach


@pytest.mark.parametrize("encoder", ["resnet50", "swin_tiny_patch4_window7_224"])
@torch.no_grad()
def test_frame_by_frame_and_clip_by_clip_agree_with_encoders_of_single_frames(encoder: str) -> None:
    """The published code's 2-D encoders; with clip_length=1 the `Segmenter` does the former."""
    model = make(visual_encoder=encoder)
    frames, text = torch.randn(1, 2, 3, 144, 176), model.tokenize(["the dog"])
    clip, _ = model(frames, None, *text)
    stages: list[torch.Tensor] = []
    model.visual_encoder(frames, stages.append)
    assert [x.shape[1] for x in stages] == model.visual_encoder.channels
    for index in range(2):
        single, _ = model(frames[:, index : index + 1], None, *text)
        torch.testing.assert_close(single.logits[:, 0], clip.logits[:, index], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"fusion_operation": "wavelet"}, {"feature_decoder": "watch"}, {"fusion": "sum"}, {"sentence_pooling": "max"}],
    ids=lambda change: next(iter(change)),
)
def test_values_that_do_not_exist(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(change))} must be '"):
        SgMgConfig(**change)


class TestSummaryCommand:
    """`sgmg model summary`."""

    def test_of_a_model_folder(self, run, model) -> None:
        code, out, _ = run("model", "summary", model, "--json")
        found = json.loads(out)
        assert code == 0
        assert sum(found["parameters"].values()) == found["total"]
        assert found["config"]["hidden_size"] == 32

    def test_of_a_recipe_with_changes(self, run, tmp_path) -> None:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("model: {visual_encoder: video_swin_t, text_weights: FacebookAI/roberta-base}\n")
        words = ("model", "summary", "--recipe", recipe, "model.fusion_operation=spatial", "--json")
        assert json.loads(run(*words)[1])["scf_operators_as_counted_in_the_paper"] == 4_720_640
        code, out, _ = run("model", "summary", "--recipe", recipe)
        assert code == 0
        assert "2,364,416" in out

    def test_of_a_recipe_without_its_data(self, run) -> None:
        code, out, error = run("model", "summary", "--recipe", RECIPES / "sgmg_lite.yaml", "--json")
        assert code == 0, error
        found = json.loads(out)
        assert found["config"]["visual_encoder"] == "tf_efficientnet_lite2"
        assert "presence" in found["parameters"]

    def test_changes_without_a_recipe(self, run, model) -> None:
        code, _, error = run("model", "summary", model, "model.queries=1")
        assert code == 2
        assert "give --recipe" in error
