"""Checkpoints in the published layout, made from this project's weights under the published names."""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from sgmg.model import SgMg


def published_names(model: SgMg) -> dict[str, str]:
    """Every published name of an SgMg checkpoint, and ours. Written out from the published key list."""
    ours_of: dict[str, str] = {}

    def same(theirs: str, ours: str, *ends: str) -> None:
        for end in ends or ("weight", "bias"):
            ours_of[f"{theirs}.{end}"] = f"{ours}.{end}"

    theirs, ours = "backbone.0.body", "visual_encoder"
    same(f"{theirs}.patch_embed.proj", f"{ours}.patch_embed.proj")
    same(f"{theirs}.patch_embed.norm", f"{ours}.patch_embed.norm")
    for stage, depth in enumerate((2, 2, 6, 2)):
        for block in range(depth):
            a, b = f"{theirs}.layers.{stage}.blocks.{block}", f"{ours}.features.{2 * stage}.{block}"
            for part in ("norm1", "norm2", "attn.qkv", "attn.proj"):
                same(f"{a}.{part}", f"{b}.{part}")
            same(f"{a}.attn", f"{b}.attn", "relative_position_bias_table")
            same(f"{a}.mlp.fc1", f"{b}.mlp.0")
            same(f"{a}.mlp.fc2", f"{b}.mlp.3")
        if stage < 3:
            same(f"{theirs}.downsamples.{stage}.reduction", f"{ours}.features.{2 * stage + 1}.reduction", "weight")
            same(f"{theirs}.downsamples.{stage}.norm", f"{ours}.features.{2 * stage + 1}.norm")
    for key in model.text_encoder.backbone.state_dict():
        ours_of[f"text_encoder.text_backbone.{key}"] = f"text_encoder.backbone.{key}"
    for kind, name in (("text", "word"), ("sentence", "sentence")):
        same(f"{kind}_proj.fc", f"text_encoder.{name}_projection.0")
        same(f"{kind}_proj.layer_norm", f"text_encoder.{name}_projection.1")
    for level in range(4):
        same(f"input_proj.{level}.0", f"fusion.projections.{level}.0")
        same(f"input_proj.{level}.1", f"fusion.projections.{level}.1")
        for a, b in (("input_fft", "filters_before"), ("input_fft_post", "filters_after")):
            for part, name in (("conv1", "conv1"), ("conv2", "conv2"), ("laplace", "attenuation_conv")):
                same(f"{a}.{level}.{part}", f"fusion.{b}.{level}.{name}")
            for index in (0, 2):
                same(f"{a}.{level}.fc.{index}", f"fusion.{b}.{level}.attenuation.{index}", "weight")
    a, b = "fusion_module.multihead_attn", "fusion.word_attention.attention"
    same(a, b, "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    ours_of["transformer.level_embed"] = "transformer.level_embedding"
    same("transformer.reference_points", "transformer.reference_point")
    same("query_embed", "transformer.query_position", "weight")
    for layer in range(4):
        a, b = f"transformer.encoder.layers.{layer}", f"transformer.encoder.{layer}"
        c, d = f"transformer.decoder.layers.{layer}", f"transformer.decoder.{layer}"
        for part in ("sampling_offsets", "attention_weights", "value_proj", "output_proj"):
            same(f"{a}.self_attn.{part}", f"{b}.attention.{part}")
            same(f"{c}.cross_attn.{part}", f"{d}.cross_attention.{part}")
        same(
            f"{c}.self_attn",
            f"{d}.self_attention",
            "in_proj_weight",
            "in_proj_bias",
            "out_proj.weight",
            "out_proj.bias",
        )
        for part in ("linear1", "linear2"):
            same(f"{a}.{part}", f"{b}.feedforward.{part}")
            same(f"{c}.{part}", f"{d}.feedforward.{part}")
        same(f"{a}.norm1", f"{b}.attention_norm")
        same(f"{a}.norm2", f"{b}.feedforward.norm")
        same(f"{c}.norm1", f"{d}.cross_attention_norm")
        same(f"{c}.norm2", f"{d}.self_attention_norm")
        same(f"{c}.norm3", f"{d}.feedforward.norm")
        same(f"class_embed.{layer}", f"score_heads.{layer}")
        for index in range(3):
            same(f"bbox_embed.{layer}.layers.{index}", f"transformer.box_heads.{layer}.{2 * index}")
            same(f"transformer.decoder.bbox_embed.{layer}.layers.{index}", f"transformer.box_heads.{layer}.{2 * index}")
    for index in range(3):
        same(f"controller.layers.{index}", f"patch_segmentation.kernels.{2 * index}")
    for stride in (8, 4):
        same(f"mask_refine.conv1_1div{stride}", f"mask_optimiser.at_stride_{stride}.1")
        same(f"mask_refine.conv2_1div{stride}", f"mask_optimiser.at_stride_{stride}.3")
    return ours_of


def published_weights(model: SgMg) -> dict[str, Tensor]:
    """The model's weights as a published checkpoint names them, integer buffers and counters included."""
    own = model.state_dict()
    weights = {theirs: own[ours] for theirs, ours in published_names(model).items()}
    weights["backbone.0.body.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(392, 392, dtype=torch.long)
    weights["text_encoder.text_backbone.embeddings.position_ids"] = torch.arange(514)[None]
    weights["fusion_module.total_ops"] = torch.zeros(1, dtype=torch.float64)
    return weights


def save_published(model: SgMg, path: Path, **extra: object) -> Path:
    """A ``.pth`` as published: weights, an argparse Namespace, an epoch."""
    content = {"model": published_weights(model), "args": argparse.Namespace(lr=1e-4, masks=True), "epoch": 5}
    torch.save(content | extra, path)
    return path


def save_kinetics(model: SgMg, path: Path) -> Path:
    """A Kinetics ``.pth`` of Video Swin as published: patches of two frames, a classifier, a final norm."""
    prefix = "backbone.0.body."
    weights = {
        "backbone." + key.removeprefix(prefix).replace("downsamples.", "layers."): value
        for key, value in published_weights(model).items()
        if key.startswith(prefix)
    }
    for stage in range(3):  # there a stage owns the merging after it
        for end in ("reduction.weight", "norm.weight", "norm.bias"):
            weights[f"backbone.layers.{stage}.downsample.{end}"] = weights.pop(f"backbone.layers.{stage}.{end}")
    patch = weights["backbone.patch_embed.proj.weight"]
    weights["backbone.patch_embed.proj.weight"] = torch.cat((patch / 4, patch * 3 / 4), 2)
    weights |= {"backbone.norm.weight": torch.ones(768), "backbone.norm.bias": torch.zeros(768)}
    weights |= {"cls_head.fc_cls.weight": torch.zeros(400, 768), "cls_head.fc_cls.bias": torch.zeros(400)}
    torch.save({"state_dict": weights, "meta": {}}, path)
    return path
