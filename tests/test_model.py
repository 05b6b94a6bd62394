"""The network: shapes, sizes, batches, and what must not change its answers."""

import json
from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from safetensors.torch import load_file, save_file

from sgmg.model import ModelError, SgMg, SgMgConfig
from sgmg.model.fusion import gaussian_chain
from sgmg.model.motion import correlate, directions, displacement
from sgmg.model.pixels import normalised
from sgmg.model.portable import portable_operators

LITE_PARTS = {
    "appearance": True,
    "fusion": "residual",
    "global_attention": True,
    "motion": True,
    "place": True,
    "presence": True,
    "temporal_layers": 1,
    "strides": (16, 32, 64),
    "queries": 1,
}


def make(**changes: object) -> SgMg:
    torch.manual_seed(0)
    return SgMg(tiny_config(**changes), tiny_tokenizer()).eval()


@pytest.mark.parametrize("size", [(1, 1), (20, 33), (129, 64), (150, 201)])
@pytest.mark.parametrize("changes", [{}, LITE_PARTS], ids=["published parts", "lite parts"])
@torch.no_grad()
def test_any_size_gives_masks_of_that_size(size: tuple[int, int], changes: dict[str, object]) -> None:
    model = make(**changes)
    prediction, visual = model(torch.randn(1, 2, 3, *size), None, *model.tokenize(["the red circle", "a dog"]))
    assert prediction.logits.shape == (2, 2, model.config.queries, 1)
    assert model.optimise_masks(prediction, visual, prediction.best_query()).shape == (2, 2, *size)


@pytest.mark.parametrize("encoder", ["resnet50", "swin_tiny_patch4_window7_224", "tf_efficientnet_lite0"])
@torch.no_grad()
def test_image_encoders(encoder: str) -> None:
    model = make(visual_encoder=encoder)
    stages: list[torch.Tensor] = []
    model.visual_encoder(torch.randn(1, 2, 3, 160, 192), stages.append)
    assert [x.shape[2:] for x in stages] == [(40, 48), (20, 24), (10, 12), (5, 6)]
    assert [x.shape[1] for x in stages] == model.visual_encoder.channels


@pytest.mark.parametrize("changes", [{}, LITE_PARTS], ids=["published parts", "lite parts"])
@torch.no_grad()
def test_an_expression_is_answered_alike_alone_and_among_others(changes: dict[str, object]) -> None:
    model = make(**changes)
    visual = model.encode_video(torch.randn(1, 3, 3, 160, 160))
    expressions = ["the dog", "the large red triangle moving left", "a cup"]
    together = model.decode(visual, model.encode_text(*model.tokenize(expressions)))
    for i, expression in enumerate(expressions):
        alone = model.decode(visual, model.encode_text(*model.tokenize([expression])))
        torch.testing.assert_close(alone.logits[0], together.logits[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.patch_masks[0], together.patch_masks[i], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other() -> None:
    model = make(visual_encoder="test_efficientnet", temporal_layers=1)
    frames, text = torch.randn(2, 3, 3, 160, 160), model.tokenize(["the dog", "a cup"])
    both, _ = model(frames, None, *text)
    for i in range(2):
        one, _ = model(frames[i : i + 1], None, text[0][i : i + 1], text[1][i : i + 1])
        torch.testing.assert_close(one.logits[0], both.logits[i], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_temporal_layers_say_the_same_in_training_where_short_clips_read_only_their_own_frames(frames: int) -> None:
    model = make(temporal_layers=1)
    clip = torch.randn(1, frames, 3, 96, 96)
    text = model.tokenize(["the dog"])
    trained = model(clip, None, *text)[0].patch_masks
    assert trained.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(model(clip, None, *text)[0].patch_masks, trained.detach(), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_temporal_layers_look_two_frames_far() -> None:
    model = make(temporal_layers=1)
    frames, text = torch.randn(1, 6, 3, 160, 160), model.tokenize(["the dog"])
    changed = frames.clone()
    changed[:, 0] = 0
    before, after = model(frames, None, *text)[0].logits, model(changed, None, *text)[0].logits
    differs = (before - after).abs().amax((0, 2, 3)) > 1e-6
    assert differs.tolist() == [True, True, True, False, False, False]


def test_training_mode_predicts_with_every_decoder_layer() -> None:
    model = make().train()
    prediction, visual = model(torch.randn(2, 2, 3, 160, 160), None, *model.tokenize(["the dog", "a cup"]))
    assert len(prediction.intermediate) == model.config.decoder_layers - 1
    model.optimise_masks(prediction, visual, torch.tensor([0, 2])).mean().backward()
    assert model.text_encoder.word_projection[0].weight.grad is not None


def test_displacement_is_that_of_a_shifted_map() -> None:
    torch.manual_seed(0)
    still = torch.randn(1, 1, 16, 24, 24)
    moving = torch.cat([still, still.roll((1, -2), (3, 4))], 1)  # one cell down, two to the left
    moved = displacement(correlate(directions(moving[0], 1), 1, torch.arange(2)))[..., 4:-4, 4:-4]
    torch.testing.assert_close(moved.mean((2, 3)), torch.tensor([[-2.0, 1.0], [-2.0, 1.0]]), atol=0.1, rtol=0)


@pytest.mark.parametrize("size", [(7, 16), (5, 21), (3, 3)], ids=str)
def test_cells_are_compared_the_same_by_blocks_and_by_shifts(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps, frames = torch.randn(2 * 3, 8, *size), torch.arange(6)
    by_blocks = correlate(maps, 2, frames)
    with portable_operators():
        torch.testing.assert_close(correlate(maps, 2, frames), by_blocks)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(correlate(maps, 2, frames), by_blocks)
    some = torch.tensor([5, 0, 2])
    torch.testing.assert_close(correlate(maps, 2, some), by_blocks[some])


def test_the_gaussian_is_handed_from_level_to_level() -> None:
    first, second = gaussian_chain([(20, 24), (10, 12)], 7.0, torch.device("cpu"))
    assert first[0, 0, 10, 12] == 1
    resized = torch.nn.functional.interpolate(first, (10, 12), mode="bilinear", align_corners=False)
    assert torch.equal(second, resized)


class TestFolders:
    """`save_pretrained`, `from_pretrained`."""

    def test_round_trip(self, tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.save_pretrained(tmp_path / "model")
        again = SgMg.from_pretrained(tmp_path / "model")
        assert again.config == tiny_model.config
        assert all(torch.equal(v, again.state_dict()[k]) for k, v in tiny_model.state_dict().items())
        assert torch.equal(again.tokenize(["the dog"])[0], tiny_model.tokenize(["the dog"])[0])

    def test_half_precision_and_encoders_in_files_of_their_own(self, tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.write_folder(tmp_path, dtype=torch.float16, encoders_apart=True)
        assert all(key.startswith("text_encoder.backbone.") for key in load_file(tmp_path / "text_encoder.safetensors"))
        again = SgMg.from_pretrained(tmp_path)
        for key, value in tiny_model.state_dict().items():
            torch.testing.assert_close(again.state_dict()[key], value, atol=2e-3, rtol=2e-3)

    @pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_missing_file(self, file: str, tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.save_pretrained(tmp_path)
        (tmp_path / file).unlink()
        with pytest.raises(ModelError):
            SgMg.from_pretrained(tmp_path)

    @pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_truncated_file(self, file: str, tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.save_pretrained(tmp_path)
        content = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(ModelError):
            SgMg.from_pretrained(tmp_path)

    def test_wrong_shape_is_named(self, tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        weights["score_heads.0.bias"] = torch.zeros(7)
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(ModelError, match=r"score_heads\.0\.bias"):
            SgMg.from_pretrained(tmp_path)

    @pytest.mark.parametrize(
        "change", [{"surprise": 1}, {"strides": [1]}, {"visual_encoder": "no such model"}, {"hidden_size": "wide"}]
    )
    def test_bad_configuration(self, change: dict[str, object], tiny_model: SgMg, tmp_path: Path) -> None:
        tiny_model.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError):
            SgMg.from_pretrained(tmp_path)

    def test_no_such_model_offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="not a folder here"):
            SgMg.from_pretrained("nobody/no-such-model")


def test_the_configuration_checks_itself() -> None:
    with pytest.raises(ModelError, match="hidden_size"):
        SgMgConfig(hidden_size=100)
    with pytest.raises(ModelError, match="class_evidence"):
        SgMg(tiny_config(visual_encoder="resnet50", class_evidence=True))


def test_expressions_are_cut_to_the_text_encoders_length() -> None:
    model = make()
    assert model.tokenizer is not None
    model.tokenizer.model_max_length = 10**9  # as in folders whose tokenizer names no length
    ids, _ = model.tokenize(["the dog " * 100])
    assert ids.shape == (1, model.max_tokens) == (1, 64)


def test_the_configuration_keeps_no_path_of_the_machine_it_was_made_on() -> None:
    text = {**tiny_config().text_encoder, "_name_or_path": "/home/somebody/minilm"}
    assert "somebody" not in json.dumps(tiny_config(text_encoder=text).to_dict())


@pytest.mark.parametrize("changes", [{}, LITE_PARTS | {"temporal_layers": 0}], ids=["published parts", "lite parts"])
@torch.no_grad()
def test_selected_frames_are_those_of_the_whole_clip(changes: dict[str, object]) -> None:
    """Without temporal layers no frame sees another after the encoder, so that selecting changes nothing."""
    model = make(**changes)
    visual = model.encode_video(torch.randn(2, 4, 3, 144, 160))
    text = model.encode_text(*model.tokenize(["the dog", "a cup"]))
    whole = model.decode(visual, text)
    both = model.decode(visual.select([2, 0]), text)
    torch.testing.assert_close(both.logits, whole.logits[:, [2, 0]], atol=1e-5, rtol=1e-4)
    own = visual.select(torch.tensor([[1], [-1]]))  # each clip's own
    assert (own.frames, own.clips, len(own.details[0])) == (1, 2, 2)
    found = model.decode(own, text)
    torch.testing.assert_close(found.logits[:, 0], whole.logits[[0, 1], [1, 3]], atol=1e-5, rtol=1e-4)
    masks = model.optimise_masks(found, own, torch.tensor([0, 0]))
    expected = model.optimise_masks(whole, visual, torch.tensor([0, 0]))[[0, 1], [1, 3]]
    torch.testing.assert_close(masks[:, 0], expected, atol=1e-4, rtol=1e-3)


def test_frames_that_cannot_be_selected() -> None:
    visual = make().encode_video(torch.randn(2, 3, 3, 144, 144))
    for indices in ([3], [0, -4], torch.tensor([[0], [5]])):
        with pytest.raises(IndexError, match="clips of 3 frames"):
            visual.select(indices)
    with pytest.raises(ValueError, match="before features are repeated"):
        visual.repeat(2).select([0])


@torch.no_grad()
def test_masks_of_several_queries_are_those_of_each() -> None:
    model = make()
    prediction, visual = model(torch.randn(2, 2, 3, 144, 150), None, *model.tokenize(["the dog", "a cup"] * 2))
    queries = torch.tensor([[0, 2], [1, 1], [2, 0], [0, 1]])
    masks = model.optimise_masks(prediction, visual, queries)
    assert masks.shape == (4, 2, 2, 144, 150)
    for place in range(2):
        torch.testing.assert_close(masks[:, place], model.optimise_masks(prediction, visual, queries[:, place]))


@torch.no_grad()
def test_frames_as_they_were_read_are_normalised_on_the_way() -> None:
    model = make()
    pixels = torch.randint(0, 256, (1, 2, 3, 150, 170), dtype=torch.uint8)
    text = model.tokenize(["the dog"])
    as_read, _ = model(pixels, None, *text)
    expected, _ = model(normalised(pixels), None, *text)
    torch.testing.assert_close(as_read.logits, expected.logits)
    white = normalised(torch.full((3, 1, 1), 255, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(white, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_frames_with_padding_come_normalised() -> None:
    pixels, padding = torch.zeros(1, 1, 3, 144, 144, dtype=torch.uint8), torch.zeros(1, 144, 144, dtype=torch.bool)
    with pytest.raises(ValueError, match="mean and deviation taken out"):
        make().encode_video(pixels, padding)


@torch.no_grad()
def test_the_encoders_stages_are_kept_only_where_they_are_drawn_on_again() -> None:
    frames = torch.randn(1, 2, 3, 144, 160)
    assert make().encode_video(frames).stages == []
    kept = make(feature_decoder="segment").encode_video(frames).stages
    assert [x.shape[2:] for x in kept] == [(36, 40), (18, 20), (9, 10), (5, 5)]
