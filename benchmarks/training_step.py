"""Time of a training step: forward, losses, backward and AdamW on a batch of noise, in float32 on a CPU.

Every step is from the same weights on the same batch, and nothing is drawn, so that losses can be compared too: to
compare versions, run this file with `PYTHONPATH` at the one's and the other's `src` in turns. The rate of a float32
matrix product stands beside the times, as in `sgmg bench`.

    python benchmarks/training_step.py                                  # Video-Swin-T, 2 clips of 5 frames of 360x640
    python benchmarks/training_step.py --model sgmg-lite --size 288x512 --clips 1 --frames 2 --frozen
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from transformers import AutoTokenizer

from sgmg.model import SgMg, SgMgConfig
from sgmg.processes import peak_memory
from sgmg.speed import matmul_rate
from sgmg.training.batch import PADDED_MULTIPLE, Batch, Targets
from sgmg.training.memory import keep_freed_memory
from sgmg.training.module import SgMgTraining
from sgmg.training.schedule import OptimiserConfig

EMBEDDED = Path(__file__).parents[1] / "src" / "sgmg" / "weights" / "sgmg-lite"
ROBERTA = {"model_type": "roberta", "vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}


def training(model: str, frozen: bool) -> SgMgTraining:
    """A network in training: the embedded one, or one of the published shapes with random weights."""
    torch.manual_seed(0)
    if model == "sgmg-lite":
        network = SgMg.from_pretrained(EMBEDDED)
    else:
        config = SgMgConfig(visual_encoder=model, text_encoder=ROBERTA, dropout=0.0)
        network = SgMg(config, AutoTokenizer.from_pretrained(EMBEDDED))
    optimiser = OptimiserConfig(train_visual_encoder=not frozen, train_text_encoder=False)
    module = SgMgTraining(network, optimiser=optimiser)
    for part in module.modules():
        if type(part).__name__ == "StochasticDepth":  # draws would make losses differ
            part.p = 0.0
    return module


def noise(clips: int, frames: int, size: tuple[int, int], expressions: int) -> Batch:
    """Clips of noise, in each of which every expression means the same rectangle."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (clips, frames, 3, *size), generator=generator, dtype=torch.uint8)
    count, (h, w) = clips * expressions, size
    padded = [-(-side // PADDED_MULTIPLE) * PADDED_MULTIPLE for side in size]
    pixels = F.pad(pixels, [0, padded[1] - w, 0, padded[0] - h])
    padding = torch.ones(clips, *padded, dtype=torch.bool)
    padding[:, :h, :w] = False
    masks = torch.zeros(count, frames, *padded, dtype=torch.bool)
    masks[..., h // 4 : h // 2, w // 4 : w // 2] = True
    boxes = torch.tensor([0.375, 0.375, 0.25, 0.25]).expand(count, frames, 4)
    targets = Targets(masks, boxes, torch.ones(count, frames, dtype=torch.bool))
    sentences = ["a person in a red coat who walks to the left"] * count
    return Batch(pixels, padding, targets, [expressions] * clips, sentences)


def main() -> None:
    """Print what was measured, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="video_swin_t", help="video_swin_t, _s, _b, or sgmg-lite")
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--size", default="360x640")
    parser.add_argument("--expressions", type=int, default=1, help="of each clip")
    parser.add_argument("--frozen", action="store_true", help="leave the visual encoder as it is")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)

    module = training(chosen.model, chosen.frozen)
    height, width = map(int, chosen.size.split("x"))
    batch = noise(chosen.clips, chosen.frames, (height, width), chosen.expressions)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0)  # a whole step that leaves the weights as they are
    steps, rates = [], []
    for number in range(chosen.repeats + 1):
        rates.append(matmul_rate()[0])
        start = time.perf_counter()
        losses, total = module.losses(batch)
        forward = time.perf_counter() - start
        total.backward()
        optimiser.step()
        optimiser.zero_grad()
        steps.append((time.perf_counter() - start, forward))
        if number == 0:
            keep_freed_memory()  # as `sgmg train` does after its first batch
    steps = steps[1:]  # the first one sets everything up
    result = {
        "seconds_per_step": median(step for step, _ in steps),
        "fastest": min(step for step, _ in steps),
        "seconds_forward": median(forward for _, forward in steps),
        "matmul_gflops": median(rates),
        "peak_memory_gb": (peak_memory() or 0) / 1e9,
        "losses": {name: loss.item() for name, loss in losses.items()},
    }
    print(json.dumps(result | vars(chosen), indent=2))


if __name__ == "__main__":
    main()
