"""Models for other runtimes: an `SgMg` as two ONNX graphs, which `sgmg.engines.onnx` runs.

The network is traced with the operators of `sgmg.model.portable`. Frames, height and width (multiples of 16) and words
stay free: whatever depends on them is computed in the graphs.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sgmg.engines import Found
from sgmg.engines.onnx import (
    ABOUT,
    BEST,
    CONFIG,
    DECODER,
    ENCODER,
    FORMAT,
    FRAMES,
    PADDING,
    QUERY,
    TOKENIZER,
    OnnxEngine,
)
from sgmg.engines.pytorch import PyTorchEngine
from sgmg.errors import InputError
from sgmg.model import SgMg, VisualFeatures
from sgmg.model.portable import portable_operators

Precision = Literal["float32", "int8"]

OPSET = 17
#: What is traced: frames, height, width. No two sides of its levels are alike, so that none is taken for another.
TRACED = (3, 160, 224)
#: What the graphs are compared with the network on: another number of frames, another size, and padding on both sides.
COMPARED = (2, 170, 290)
EXPRESSION = "the dog on the left"
#: By how much scores may differ from the network's in float32.
TOLERANCE = 1e-3


def export_onnx(model: SgMg, folder: Path, precision: Precision = "float32") -> float:
    """Write a model as ONNX graphs, and run them beside it.

    Args:
        model: with a tokenizer; in evaluation mode, on the CPU.
        folder: exists, and gets the files.
        precision: "int8" stores the weights of linear layers in eight bits and multiplies in them.

    Returns:
        by how much, at most, scores and mask probabilities of the graphs differ from the network's on a clip of noise.

    Raises:
        InputError: the model is of a kind that cannot be exported, a package is missing, or, in float32, the graphs do
            not give what the network gives.
    """
    _check(model)
    model.tokenizer.save_pretrained(folder)  # type: ignore[union-attr]
    if not (folder / TOKENIZER).is_file():
        raise InputError(f"The model's tokenizer has no {TOKENIZER}, which other runtimes read.")
    (folder / CONFIG).write_text(json.dumps(model.config.to_dict(), indent=2) + "\n", encoding="utf-8")
    about = {
        "format": FORMAT,
        "dtype": precision,
        "max_tokens": model.max_tokens,
        "padding_id": model.tokenizer.pad_token_id or 0,  # type: ignore[union-attr]
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    with _tracing(model):
        _write_graphs(model, folder)
    if precision == "int8":
        for name in (ENCODER, DECODER):
            _quantise(folder / name)
    difference = compare(PyTorchEngine(model, "cpu"), OnnxEngine(folder))
    if precision == "float32" and not difference <= TOLERANCE:
        raise InputError(f"The exported graphs differ from the model by {difference:.2g}, more than {TOLERANCE}.")
    return difference


def _check(model: SgMg) -> None:
    """Tell before any work what cannot be exported."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise InputError('Exporting needs ONNX and its runtime: pip install "sgmg[onnx]".') from error
    if model.tokenizer is None:
        raise InputError("The model has no tokenizer; export a complete model folder.")
    if model.config.multi_object:
        raise InputError("Multi-object models cannot be exported: how many expressions there are is fixed by a trace.")
    if model.feature_decoder is not None:
        raise InputError("Models with a feature decoder, a variant for experiments, cannot be exported.")


class _Encoder(nn.Module):
    """A clip to all that does not depend on an expression."""

    def __init__(self, model: SgMg) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, padding_mask: Tensor) -> tuple[Tensor, ...]:
        """Frames (T, 3, H, W) and padding mask (H, W) to the features that `_features` names."""
        visual = self.model.encode_video(frames[None], padding_mask[None])
        seen = [x for x in (visual.posterior, visual.detections) if x is not None]
        return (*visual.details, *visual.levels, *seen)


class _Decoder(nn.Module):
    """An encoded clip and an expression to scores and masks."""

    def __init__(self, model: SgMg) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, padding_mask: Tensor, input_ids: Tensor, attention_mask: Tensor, query: Tensor, *features: Tensor
    ) -> tuple[Tensor, ...]:
        """Padding mask (H, W), an expression (1, L) and the query to draw (1,), negative for the best one."""
        by_name = dict(zip(_features(self.model), features, strict=True))
        visual = VisualFeatures(
            details=[by_name.pop("detail_4"), by_name.pop("detail_8")],
            levels=[by_name.pop(f"level_{stride}") for stride in self.model.config.strides],
            padding_mask=padding_mask[None],
            frames=features[0].shape[0],
            size=(padding_mask.shape[0], padding_mask.shape[1]),
            **by_name,  # type: ignore[arg-type]
        )
        prediction = self.model.decode(visual, self.model.encode_text(input_ids, attention_mask), [1])
        drawn = torch.where(query < 0, prediction.best_query(), query)
        masks = self.model.optimise_masks(prediction, visual, drawn)
        return prediction.logits, prediction.boxes, prediction.patch_masks, drawn, masks


def _features(model: SgMg) -> dict[str, int | None]:
    """What the encoder gives the decoder, in order: names, and the strides of those that are maps."""
    maps = {"detail_4": 4, "detail_8": 8, **{f"level_{stride}": stride for stride in model.config.strides}}
    posterior = {} if model.evidence is None else {"posterior": 32}
    return {**maps, **posterior, **({} if model.detector is None else {"detections": None})}


def _write_graphs(model: SgMg, folder: Path) -> None:
    encoder, decoder = _Encoder(model).eval(), _Decoder(model).eval()
    count, height, width = TRACED
    clip = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    padding_mask = torch.zeros(height, width, dtype=torch.bool)
    features = encoder(clip, padding_mask)
    free = {
        name: {0: "frames"} if stride is None else {0: "frames", 2: f"rows_{stride}", 3: f"columns_{stride}"}
        for name, stride in _features(model).items()
    }
    names = list(free)
    sides = {0: "rows", 1: "columns"}
    _trace(
        encoder,
        (clip, padding_mask),
        folder / ENCODER,
        [FRAMES, PADDING],
        names,
        {FRAMES: {0: "frames", 2: "rows", 3: "columns"}, PADDING: sides, **free},
    )
    found = ["logits", "boxes", "patch_masks", "drawn", "masks"]
    given = [PADDING, "input_ids", "attention_mask", QUERY]
    _trace(
        decoder,
        (padding_mask, *model.tokenize([EXPRESSION]), torch.tensor([BEST]), *features),
        folder / DECODER,
        [*given, *names],
        found,
        {
            PADDING: sides,
            "input_ids": {1: "words"},
            "attention_mask": {1: "words"},
            **free,
            "logits": {1: "frames"},
            "boxes": {1: "frames"},
            "patch_masks": {1: "frames", 4: "rows_8", 5: "columns_8"},
            "masks": {1: "frames", 2: "rows", 3: "columns"},
        },
    )


def _trace(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    free: dict[str, dict[int, str]],
) -> None:
    # The exporter that follows `torch.export` proves something about sizes at every step, which for sizes that are free
    # and halved five times takes it hours.
    try:
        torch.onnx.export(
            module,
            example,
            path,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = (str(error).splitlines() or ["of its operators"])[0]
        raise InputError(f"This model cannot be exported: {reason[:200]}.") from error


@contextmanager
def _tracing(model: SgMg) -> Iterator[None]:
    """What a trace needs: portable operators, an exporter that keeps to itself, weights without gradients."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)
    torch.onnx.register_custom_op_symbolic("aten::unflatten", _unflatten, OPSET)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    torch._C._jit_set_onnx_log_enabled(False)  # of whole graphs where something fails
    try:
        # With gradients, whose way through the network has the fewest shortcuts.
        with warnings.catch_warnings(), portable_operators(), torch.enable_grad():
            warnings.simplefilter("ignore")  # that lengths of lists are taken as they are
            yield
    finally:
        logger.setLevel(level)
        torch.onnx.unregister_custom_op_symbolic("aten::unflatten", OPSET)
        for parameter in wanted:
            parameter.requires_grad_(True)


def _unflatten(graph: Any, x: Any, dim: Any, sizes: Any) -> Any:
    """`torch.unflatten` for the exporter, whose own takes sizes for fixed that are not."""
    from torch.onnx import symbolic_helper

    rank = symbolic_helper._get_tensor_rank(x)
    assert rank is not None
    axis = symbolic_helper._get_const(dim, "i", "dim") % rank

    def constant(*values: int) -> Any:
        return graph.op("Constant", value_t=torch.tensor(values))

    shape = graph.op("Shape", x)
    before = [graph.op("Slice", shape, constant(0), constant(axis), constant(0))] if axis else []
    after = [graph.op("Slice", shape, constant(axis + 1), constant(rank), constant(0))] if axis + 1 < rank else []
    parts = [sizes]
    if symbolic_helper._is_packed_list(sizes):
        parts = [symbolic_helper._unsqueeze_helper(graph, size, [0]) for size in symbolic_helper._unpack_list(sizes)]
    return graph.op("Reshape", x, graph.op("Concat", *before, *parts, *after, axis_i=0))


def _quantise(path: Path) -> None:
    """Weights of products with constants in eight bits, in place."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_suffix(".float32.onnx")
    path.rename(whole)
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            whole,
            path,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logger.setLevel(level)
        whole.unlink()


def compare(engine: PyTorchEngine, exported: OnnxEngine) -> float:
    """By how much, at most, scores and mask probabilities of two engines with one model differ, on a clip of noise."""
    count, height, width = COMPARED
    pixels = list(np.random.default_rng(0).integers(0, 256, (count, 3, height, width), np.uint8))

    def run(engine: Any) -> tuple[np.ndarray, np.ndarray]:
        with engine.computing():
            clip = engine.encode_clip(pixels)
            found: Found[Any] = engine.decode(clip, engine.encode_text(engine.tokenize([EXPRESSION])))
            # Of the first query: which is the best may hang on a rounding.
            logits = engine.masks(found, clip, np.zeros(1, np.int64))[0]
            masks = [part for _, part in engine.probable_at_size(logits, (height, width))]
        return found.scores, np.concatenate(masks)

    pairs = zip(run(engine), run(exported), strict=True)
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
