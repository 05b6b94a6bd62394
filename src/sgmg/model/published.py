"""Published checkpoints in, SgMg weights out. Nothing in a checkpoint is ever executed."""

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer

from sgmg.model.config import ModelError, SgMgConfig
from sgmg.model.pretrained import load_exactly
from sgmg.model.sgmg import SgMg
from sgmg.model.visual import VIDEO_SWIN

#: Published names of Video Swin's parts, and ours below the encoder; the same in Kinetics checkpoints.
SWIN_NAMES = [
    (r"patch_embed\.(proj|norm)\.(weight|bias)", r"patch_embed.\1.\2"),
    (
        r"layers\.(\d+)\.blocks\.(\d+)\.(norm1|norm2|attn\.qkv|attn\.proj)\.(weight|bias)",
        r"features.{2*\1}.\2.\3.\4",
    ),
    (r"layers\.(\d+)\.blocks\.(\d+)\.(attn\.relative_position_bias_table)", r"features.{2*\1}.\2.\3"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(weight|bias)", r"features.{2*\1}.\2.mlp.0.\3"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(weight|bias)", r"features.{2*\1}.\2.mlp.3.\3"),
    (
        r"(?:downsamples\.(\d+)|layers\.(\d+)\.downsample)\.(reduction|norm)\.(weight|bias)",
        r"features.{2*\1\2+1}.\3.\4",
    ),
]
ATTENTION = r"(sampling_offsets|attention_weights|value_proj|output_proj)\.(weight|bias)"
#: Published names, and ours.
NAMES = [
    *((rf"backbone\.0\.body\.{theirs}", rf"visual_encoder.{ours}") for theirs, ours in SWIN_NAMES),
    (r"text_encoder\.text_backbone\.(.+)", r"text_encoder.backbone.\1"),
    (r"text_proj\.fc\.(.+)", r"text_encoder.word_projection.0.\1"),
    (r"text_proj\.layer_norm\.(.+)", r"text_encoder.word_projection.1.\1"),
    (r"sentence_proj\.fc\.(.+)", r"text_encoder.sentence_projection.0.\1"),
    (r"sentence_proj\.layer_norm\.(.+)", r"text_encoder.sentence_projection.1.\1"),
    (r"input_proj\.(\d+)\.(\d)\.(.+)", r"fusion.projections.\1.\2.\3"),
    (r"fusion_module\.multihead_attn\.(.+)", r"fusion.word_attention.attention.\1"),
    (r"input_fft\.(\d+)\.(.+)", r"fusion.filters_before.\1.\2"),
    (r"input_fft_post\.(\d+)\.(.+)", r"fusion.filters_after.\1.\2"),
    (r"transformer\.level_embed", r"transformer.level_embedding"),
    (r"transformer\.reference_points\.(.+)", r"transformer.reference_point.\1"),
    (r"query_embed\.(.+)", r"transformer.query_position.\1"),
    (
        rf"transformer\.encoder\.layers\.(\d+)\.self_attn\.{ATTENTION}",
        r"transformer.encoder.\1.attention.\2.\3",
    ),
    (r"transformer\.encoder\.layers\.(\d+)\.norm1\.(.+)", r"transformer.encoder.\1.attention_norm.\2"),
    (r"transformer\.encoder\.layers\.(\d+)\.norm2\.(.+)", r"transformer.encoder.\1.feedforward.norm.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.self_attn\.(.+)", r"transformer.decoder.\1.self_attention.\2"),
    (
        rf"transformer\.decoder\.layers\.(\d+)\.cross_attn\.{ATTENTION}",
        r"transformer.decoder.\1.cross_attention.\2.\3",
    ),
    (r"transformer\.decoder\.layers\.(\d+)\.norm1\.(.+)", r"transformer.decoder.\1.cross_attention_norm.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm2\.(.+)", r"transformer.decoder.\1.self_attention_norm.\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm3\.(.+)", r"transformer.decoder.\1.feedforward.norm.\2"),
    (
        r"transformer\.(encoder|decoder)\.layers\.(\d+)\.(linear[12])\.(.+)",
        r"transformer.\1.\2.feedforward.\3.\4",
    ),
    (r"class_embed\.(\d+)\.(.+)", r"score_heads.\1.\2"),
    (r"bbox_embed\.(\d+)\.layers\.(\d)\.(.+)", r"transformer.box_heads.\1.{2*\2}.\3"),
    (r"controller\.layers\.(\d)\.(.+)", r"patch_segmentation.kernels.{2*\1}.\2"),
    (r"mask_refine\.conv1_1div([84])\.(.+)", r"mask_optimiser.at_stride_\1.1.\2"),
    (r"mask_refine\.conv2_1div([84])\.(.+)", r"mask_optimiser.at_stride_\1.3.\2"),
]
#: Inside spectral filters.
SPECTRAL_NAMES = [(r"\.laplace\.", ".attenuation_conv."), (r"(filters_\w+\.\d+)\.fc\.", r"\1.attenuation.")]
#: Integer buffers and profiling counters that hold nothing learned.
IGNORED = re.compile(r"(^|\.)(relative_position_index|position_ids|total_ops|total_params|num_batches_tracked)$")
#: The box heads are stored twice.
ALIAS = "transformer.decoder.bbox_embed."


def our_name(key: str, names: list[tuple[str, str]]) -> str | None:
    """The name under which this project keeps a published weight, or None for one that is not known."""
    for pattern, replacement in names:
        match = re.fullmatch(pattern, key)
        if match:
            name = re.sub(r"\{2\*(\d+)(\+1)?\}", lambda m: str(2 * int(m[1]) + bool(m[2])), match.expand(replacement))
            for inner, ours in SPECTRAL_NAMES:
                name = re.sub(inner, ours, name)
            return name
    return None


def swin_variant(weights: dict[str, Tensor], prefix: str) -> str:
    """Which Video Swin the weights below a prefix are, told from their shapes.

    Raises:
        ModelError: none of those known.
    """
    patch = weights.get(f"{prefix}patch_embed.proj.weight")
    pattern = re.compile(re.escape(prefix) + r"layers\.(\d+)\.blocks\.(\d+)\.")
    blocks = {match.groups() for key in weights if (match := pattern.match(key))}
    depths = tuple(sum(stage == str(i) for stage, _ in blocks) for i in range(4))
    for name, size in VIDEO_SWIN.items():
        if patch is not None and patch.shape[0] == size.embed_dim and depths == size.depths:
            return name
    raise ModelError(
        f"the checkpoint's visual encoder is no Video Swin T, S or B: blocks per stage {depths}, "
        f"patch embedding {None if patch is None else tuple(patch.shape)}"
    )


def load_published(weights: dict[str, Tensor], text_encoder: dict[str, Any] | None = None) -> SgMg:
    """The network of a published checkpoint's ``model`` entry, in evaluation mode, without a tokenizer.

    Args:
        weights: names and tensors as published.
        text_encoder: configuration of the text encoder; RoBERTa-base by default.

    Raises:
        ModelError: names every key that is missing or has no place here.
    """
    weights = {key: value for key, value in weights.items() if not IGNORED.search(key)}
    aliased = {key: weights.pop(key) for key in list(weights) if key.startswith(ALIAS)}
    for key, value in aliased.items():
        original = weights.get("bbox_embed." + key.removeprefix(ALIAS))
        if original is None or not torch.equal(original, value):
            raise ModelError(f"{key} should repeat bbox_embed.{key.removeprefix(ALIAS)}, and does not")
    renamed = {key: our_name(key, NAMES) for key in weights}
    unknown = sorted(key for key, name in renamed.items() if name is None)
    if unknown:
        raise ModelError(f"the checkpoint holds keys that no SgMg has: {', '.join(unknown)}")
    config = SgMgConfig(visual_encoder=swin_variant(weights, "backbone.0.body."))
    if text_encoder is not None:
        config.text_encoder = text_encoder
    model = SgMg(config)
    load_exactly(model, {name: weights[key] for key, name in renamed.items() if name}, "the checkpoint")
    return model.eval()


def load_kinetics(weights: dict[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """A Video Swin trained on Kinetics, as an initial visual encoder.

    Args:
        weights: the ``state_dict`` entry of a published checkpoint; the classifier and final norm are left out,
            the patch embedding is summed over its two frames.

    Returns:
        The variant's name and the visual encoder's weights under our names.

    Raises:
        ModelError: names every key that has no place.
    """
    variant = swin_variant(weights, "backbone.")
    left_out = re.compile(r"cls_head\..*|backbone\.norm\.(weight|bias)")
    kept = {k: v for k, v in weights.items() if not IGNORED.search(k) and not left_out.fullmatch(k)}
    renamed = {key: our_name(key.removeprefix("backbone."), SWIN_NAMES) for key in kept}
    unknown = sorted(key for key, name in renamed.items() if name is None)
    if unknown:
        raise ModelError(f"the checkpoint holds keys that no Video Swin has: {', '.join(unknown)}")
    visual = {name: kept[key] for key, name in renamed.items() if name}
    visual["patch_embed.proj.weight"] = visual["patch_embed.proj.weight"].sum(2, keepdim=True)
    return variant, visual


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint file's top level: tensors and plain values only (and the argparse Namespace of its arguments).

    Raises:
        ModelError: the file is missing, damaged, or holds objects of any other class.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"an object of class {refused[1]}" if refused else "something else than tensors and plain values"
        raise ModelError(f"{path} is refused: it is damaged or holds {what}, which could run code") from error
    except Exception as error:  # bytes that are no checkpoint fail in whatever step of unpickling they reach
        raise ModelError(f"{path} is no readable checkpoint: it is truncated or of another format") from error
    if not isinstance(checkpoint, dict):
        raise ModelError(f"{path} holds no dictionary of weights")
    return checkpoint


def read_published(checkpoint: str | Path, text_encoder: str) -> SgMg:
    """The model that a published checkpoint holds.

    An SgMg checkpoint (``model``) is taken whole. A Kinetics checkpoint of Video Swin (``state_dict``) gives a
    model to start a training from: its visual encoder and the pretrained text encoder, the rest fresh.

    Args:
        checkpoint: the ``.pth`` file.
        text_encoder: name or folder of the Hugging Face text encoder, for configuration and tokenizer.

    Raises:
        ModelError: a key without a place, or an unreadable file or text encoder.
    """
    content = read_checkpoint(checkpoint)
    kind = next((key for key in ("model", "state_dict") if isinstance(content.get(key), dict)), None)
    if kind is None:
        raise ModelError(f"{checkpoint} has neither 'model' (SgMg) nor 'state_dict' (Kinetics) weights")
    weights = {key: value for key, value in content[kind].items() if isinstance(value, Tensor)}
    try:
        tokenizer = AutoTokenizer.from_pretrained(text_encoder)
        text_config = AutoConfig.from_pretrained(text_encoder).to_dict()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the text encoder {text_encoder} could not be read: give a folder or a Hub id") from error
    if kind == "model":
        model = load_published(weights, text_config)
    else:
        variant, visual = load_kinetics(weights)
        model = SgMg(SgMgConfig(visual_encoder=variant, text_encoder=text_config))
        load_exactly(model.visual_encoder, visual, str(checkpoint))
        try:
            model.text_encoder.backbone = AutoModel.from_pretrained(text_encoder, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ModelError(f"the text encoder {text_encoder} has no readable weights") from error
    model.tokenizer = tokenizer
    return model.eval()
