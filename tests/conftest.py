"""Fixtures that many tests share."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sgmg.cli import main
from sgmg.model import SgMg, SgMgConfig

#: Machines are shared: an example that takes long is no mistake.
usual = hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name())
hypothesis.settings.register_profile("sgmg", usual, deadline=None)
hypothesis.settings.load_profile("sgmg")

SHARED = Path(__file__).parents[2] / "shared"
WORDS = [
    "the",
    "a",
    "red",
    "green",
    "blue",
    "small",
    "large",
    "circle",
    "square",
    "triangle",
    "dog",
    "person",
    "cup",
    "moving",
    "left",
    "right",
    "up",
    "down",
    "still",
]


def tiny_tokenizer(words: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, at most 32 tokens long, made in memory."""
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


def tiny_config(**changes: object) -> SgMgConfig:
    """A network of well under a million weights with every part of the published one."""
    text = {
        "model_type": "bert",
        "vocab_size": 4 + len(WORDS),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    values: dict[str, object] = {
        "visual_encoder": "test_efficientnet",
        "text_encoder": text,
        "hidden_size": 32,
        "queries": 3,
        "heads": 4,
        "points": 2,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "feedforward": 64,
        "short_side": 144,
        "long_side": 256,
    }
    return SgMgConfig(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def tiny_model() -> SgMg:
    """A small SgMg with random weights, the same in every run, in evaluation mode."""
    torch.manual_seed(0)
    return SgMg(tiny_config(), tiny_tokenizer()).eval()


@pytest.fixture
def model(tiny_model: SgMg, tmp_path: Path) -> Path:
    """A folder that holds it."""
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def settings(tiny_model: SgMg, tmp_path: Path) -> dict[str, Any]:
    """A recipe that trains the tiny model on generated shapes: 3 optimiser steps of 2 batches, epochs of 2 steps."""
    tiny_model.save_pretrained(tmp_path / "start")
    return {
        "run": str(tmp_path / "run"),
        "model": {"pretrained": str(tmp_path / "start")},
        "data": {
            "kind": "synthetic",
            "synthetic": {"size": [64, 96], "objects": [2, 2]},
            "length": 4,
            "clip_length": 2,
            "expressions_per_clip": 2,
            "batch_size": 1,
            "workers": 0,
            "augmentation": {"resize": False},
        },
        "optimiser": {"learning_rate": 1e-3, "milestones": [1.5], "average_decay": 0.9, "warmup_steps": 1},
        "trainer": {
            "max_steps": 3,
            "accumulate_grad_batches": 2,
            "log_every_n_steps": 1,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Type a command; get exit code, standard output and standard error."""

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sgmg", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return typed


@pytest.fixture
def shared() -> Path:
    """Recorded values and material beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the shared folder")
    return SHARED
