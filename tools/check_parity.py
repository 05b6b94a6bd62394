"""Compare this network with recorded outputs of the published implementation.

    python tools/check_parity.py FIXTURE.npz|FIXTURE.json [--variant video_swin_t|s|b]

Prints the relative error ‖ours − recorded‖ / ‖recorded‖ of each tensor, for training cases of each loss, matched
query and gradient norm; last line ``worst <name> <error>``; exit code 1 above 1e-3.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from sgmg.data.sample import Sample
from sgmg.model import SgMg
from sgmg.model.published import ALIAS, NAMES, load_published, our_name
from sgmg.training.batch import Targets, normalised_boxes
from sgmg.training.losses import Criterion

LIMIT = 1e-3


def recipe_of(fixture: Path) -> ModuleType:
    """The module that rebuilds weights and inputs: ``fill.py`` in the folder of the fixture or above it."""
    for folder in (fixture.resolve().parent, *fixture.resolve().parents):
        if (folder / "fill.py").is_file():
            spec = importlib.util.spec_from_file_location("fill", folder / "fill.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise SystemExit(f"no fill.py in a folder above {fixture}")


def published_model(fill: ModuleType, variant: str) -> SgMg:
    """The network with the weights that the fixtures were recorded with."""
    weights = {key: torch.from_numpy(value) for key, value in fill.checkpoint(variant).items()}
    return load_published(weights)


def pad_batch(clips: list[Tensor], multiple: int) -> tuple[Tensor, Tensor]:
    """Clips (T, 3, h, w) of different sizes to (B, T, 3, H, W) and their padding mask (B, H, W)."""
    height, width = (-(-max(clip.shape[i] for clip in clips) // multiple) * multiple for i in (2, 3))
    frames = torch.stack([F.pad(c, [0, width - c.shape[3], 0, height - c.shape[2]]) for c in clips])
    mask = torch.ones(len(clips), height, width, dtype=torch.bool)
    for row, clip in zip(mask, clips, strict=True):
        row[: clip.shape[2], : clip.shape[3]] = False
    return frames, mask


def relative_error(ours: Tensor, recorded: np.ndarray) -> float:
    """‖ours − recorded‖ / ‖recorded‖, infinite where the shapes differ."""
    expected = torch.from_numpy(np.asarray(recorded)).double()
    if tuple(ours.shape) != tuple(expected.shape):
        return float("inf")
    return float((ours.double() - expected).norm() / expected.norm().clamp(min=1e-12))


@torch.no_grad()
def check_inference(fixture: Path, variant: str) -> dict[str, float]:
    """Relative errors of an ``eval_*.npz`` fixture, by tensor."""
    fill, case = recipe_of(fixture), np.load(fixture)
    model = published_model(fill, variant)
    clips = [
        torch.from_numpy(fill.frames(int(case["seed"]) + i, (int(case["T"]), 3, int(h), int(w))))
        for i, (h, w) in enumerate(case["sizes"])
    ]
    frames, padding_mask = pad_batch(clips, 16)
    text = model.encode_text(torch.from_numpy(case["input_ids"]), torch.from_numpy(case["attention_mask"]))
    visual = model.encode_video(frames, padding_mask)
    prediction = model.decode(visual, text)
    queries = prediction.logits.shape[2]
    masks = [model.optimise_masks(prediction, visual, torch.full((visual.clips,), query)) for query in range(queries)]
    ours = {
        "words": text.words,
        "sentence": text.sentence,
        "pred_logits": prediction.logits,
        "pred_boxes": prediction.boxes,
        "pred_masks": torch.stack(masks, 2),
    }
    if "queries" in case:
        fused = model.fuse(visual, text)
        cells = model.transformer.cells(model.level_masks(visual))
        output = model.transformer(
            fused,
            cells.each(lambda x: x.repeat_interleave(visual.frames, 0)),
            text.sentence.repeat_interleave(visual.frames, 0),
        )
        stages: list[Tensor] = []
        model.visual_encoder(frames, stages.append)
        named = {
            "stage": stages,
            "spectral_in": visual.levels,
            "fused": fused,
            "memory": output.memory,
        }
        ours |= {f"{name}_{i}": x for name, tensors in named.items() for i, x in enumerate(tensors)}
        ours["queries"] = torch.stack(output.queries)
    return {name: relative_error(ours[name], case[name]) for name in case.files if name in ours}


def without_dropout(model: SgMg) -> SgMg:
    """The network in training mode with every dropout and drop path set to 0, its text encoder frozen."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout | StochasticDepth):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    model.text_encoder.backbone.requires_grad_(False).eval()
    return model


def training_targets(fill: ModuleType, case: dict[str, Any], height: int, width: int) -> Targets:
    """Ground truth of a training case: a disc a clip, absent where the case says so, padded to one size."""
    masks = torch.zeros(len(case["sizes"]), case["T"], height, width, dtype=torch.bool)
    for i, (h, w) in enumerate(case["sizes"]):
        masks[i, :, :h, :w] = torch.from_numpy(fill.disc_masks(case["seed"] + i, case["T"], h, w)).bool()
    present = torch.tensor(case["valid"]).bool()
    return Targets(masks & present[..., None, None], torch.tensor(case["boxes"]), present)


def one_ulp_away(x: Tensor, seed: int) -> Tensor:
    """Every value moved to the next one that float32 knows, up or down at random."""
    up = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.nextafter(x, torch.where(up, torch.inf, -torch.inf))


def check_training(fixture: Path, variant: str) -> dict[str, float]:
    """Relative errors of a training case: the boxes of its masks, losses, matched queries, gradient norms.

    Gradients of the spectral filters' attenuation are small sums of large terms: on some inputs rounding alone moves
    their norms by several 1e-3, the recorded ones included. A norm beyond the limit is therefore computed for inputs
    one unit in the last place away, too, and its error is the recorded value's distance from what came out, three
    standard deviations around the mean. Losses, matches and the norms within the limit are compared as they are.
    """
    torch.set_num_threads(1)  # the same order of summation on every machine
    fill, case = recipe_of(fixture), json.loads(fixture.read_text())
    model = without_dropout(published_model(fill, variant))
    clips = [
        torch.from_numpy(fill.frames(case["seed"] + i, (case["T"], 3, h, w))) for i, (h, w) in enumerate(case["sizes"])
    ]
    frames, padding_mask = pad_batch(clips, 32)
    targets = training_targets(fill, case, *frames.shape[-2:])
    ours = {
        "boxes": boxes_of(targets.masks, case["sizes"]),
        **training_step(model, case, frames, padding_mask, targets),
    }
    recorded = {"boxes": case["boxes"], "total": case["total"], **case["losses"]}
    recorded |= {f"weight.{name}": weight for name, weight in case["weights"].items()}
    recorded |= {f"matched.{i}": query for i, query in enumerate([case["matched"], *case["matched_aux"]])}
    recorded |= {f"gradient.{key}": norm for key, norm in case["grad_norms"].items()}
    missing = torch.tensor(float("inf"))
    errors = {name: relative_error(ours.get(name, missing), np.asarray(value)) for name, value in recorded.items()}

    beyond = [name for name, error in errors.items() if name.startswith("gradient.") and LIMIT < error < float("inf")]
    if beyond:
        runs = [ours, *(training_step(model, case, one_ulp_away(frames, i), padding_mask, targets) for i in range(4))]
        for name in beyond:
            norms = torch.stack([run[name] for run in runs])
            spread = 3 * norms.std()
            nearest = torch.tensor(recorded[name]).clamp(norms.mean() - spread, norms.mean() + spread)
            errors[name] = relative_error(nearest, np.asarray(recorded[name]))
    return errors


def training_step(
    model: SgMg, case: dict[str, Any], frames: Tensor, padding_mask: Tensor, targets: Targets
) -> dict[str, Tensor]:
    """Losses, their weights, matched queries and gradient norms of one step, by the names that are printed."""
    model.zero_grad()
    prediction, visual = model(
        frames, padding_mask, torch.tensor(case["input_ids"]), torch.tensor(case["attention_mask"])
    )
    criterion = Criterion()
    losses, matched = criterion(
        prediction,
        targets,
        lambda layer, query: model.optimise_masks(layer, visual, query),
        targets.present.sum().clamp(min=1),
    )
    total = criterion.total(losses)
    total.backward()
    found = {"total": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}
    found |= {f"weight.{name}": torch.tensor(criterion.weight(name)) for name in losses}
    found |= {f"matched.{i}": query for i, query in enumerate(matched)}
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for key in case["grad_norms"]:
        canonical = "bbox_embed." + key.removeprefix(ALIAS) if key.startswith(ALIAS) else key
        gradient = gradients.get(our_name(canonical, NAMES) or "")
        if gradient is not None:
            found[f"gradient.{key}"] = gradient.norm()
    return found


def boxes_of(masks: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """Normalised boxes (B, T, 4) of masks (B, T, H, W) whose clips have these unpadded sizes."""
    return torch.stack(
        [normalised_boxes(Sample(masks[:0], clip, "").boxes, *size) for clip, size in zip(masks, sizes, strict=True)]
    )


def main() -> int:
    """Check one fixture; the exit code says whether it passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixture", type=Path)
    parser.add_argument("--variant", default="video_swin_t", help="video_swin_t, video_swin_s or video_swin_b")
    arguments = parser.parse_args()
    variant = "video_swin_" + arguments.variant.removeprefix("video_swin_")
    check = check_training if arguments.fixture.suffix == ".json" else check_inference
    errors = check(arguments.fixture, variant)
    for name, error in errors.items():
        print(f"{name} {error:.3e}")
    worst = max(errors, key=lambda name: errors[name])
    print(f"worst {worst} {errors[worst]:.3e}")
    return int(errors[worst] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
