"""Published checkpoints in, model folders out: strictly, and without executing anything."""

import os
from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from published_checkpoint import published_weights, save_kinetics, save_published
from typer.testing import CliRunner

from sgmg.cli import app
from sgmg.model import ModelError, SgMg, SgMgConfig
from sgmg.model.published import load_published, read_checkpoint, read_published


@pytest.fixture(scope="module")
def small_text() -> dict[str, object]:
    """A RoBERTa of one narrow layer, so that only the visual encoder has the published size."""
    return {
        "model_type": "roberta", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def model(small_text: dict[str, object]) -> SgMg:
    torch.manual_seed(0)
    return SgMg(SgMgConfig(text_encoder=small_text), tiny_tokenizer())


@pytest.fixture
def text_folder(model: SgMg, tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    model.text_encoder.backbone.save_pretrained(folder)
    assert model.tokenizer is not None
    model.tokenizer.save_pretrained(folder)
    return folder


def test_every_weight_finds_its_place(model: SgMg, text_folder: Path, tmp_path: Path) -> None:
    path = save_published(model, tmp_path / "published.pth")
    loaded = read_published(path, str(text_folder))
    assert loaded.config.visual_encoder == "video_swin_t"
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_the_command_makes_a_model_folder(model: SgMg, text_folder: Path, tmp_path: Path) -> None:
    path = save_published(model, tmp_path / "published.pth")
    arguments = ["convert", str(path), str(tmp_path / "out"), "--text-encoder", str(text_folder)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert SgMg.from_pretrained(tmp_path / "out").tokenize(["the dog"])[0].shape == (1, 4)


def test_kinetics_gives_a_visual_encoder(model: SgMg, text_folder: Path, tmp_path: Path) -> None:
    path = save_kinetics(model, tmp_path / "kinetics.pth")
    loaded = read_published(path, str(text_folder))
    for key, value in model.visual_encoder.state_dict().items():
        assert torch.allclose(loaded.visual_encoder.state_dict()[key], value, atol=1e-6), key


def test_unknown_and_missing_keys_are_named(model: SgMg, small_text: dict[str, object]) -> None:
    weights = published_weights(model)
    with pytest.raises(ModelError, match=r"fusion_module\.surprise"):
        load_published(weights | {"fusion_module.surprise": torch.zeros(1)}, small_text)
    del weights["controller.layers.1.bias"]
    with pytest.raises(ModelError, match=r"patch_segmentation\.kernels\.2\.bias"):
        load_published(weights, small_text)


def test_the_two_copies_of_the_box_heads_must_agree(model: SgMg, small_text: dict[str, object]) -> None:
    weights = published_weights(model)
    weights["transformer.decoder.bbox_embed.0.layers.2.bias"] = torch.ones(4)
    with pytest.raises(ModelError, match="should repeat"):
        load_published(weights, small_text)


class _Attack:
    """Unpickling this would make a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.trace,)


def test_code_in_a_checkpoint_is_refused_and_not_run(model: SgMg, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pth"
    torch.save({"model": {}, "args": _Attack(tmp_path / "trace")}, path)
    with pytest.raises(ModelError, match="refused"):
        read_checkpoint(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_damaged_files_are_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_truncated_checkpoint(model: SgMg, tmp_path: Path) -> None:
    path = save_published(model, tmp_path / "published.pth")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_another_architecture_is_told_from_its_shapes() -> None:
    weights = SgMg(tiny_config()).state_dict()
    with pytest.raises(ModelError, match="no SgMg has"):
        load_published(dict(weights))
