"""Where the queries look and which words pixels read, in one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgmg.analysis.clip import Answer, Clip, ask
from sgmg.analysis.figures import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, figure, save, save_numbers, shortened
from sgmg.model import SgMg
from sgmg.model.deformable import DeformableAttention
from sgmg.model.parts import whole_clips

LEVEL_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Attention:
    """What the best query and the pixels of a frame attend to.

    Attributes:
        answer: what the network found in the clip.
        frame: which of the clip's frames.
        strides: of the L levels.
        places: (L, heads · points, 2) where the query samples each level in the last decoder layer: x and y in pixels
            of the frame as the network sees it; some may lie outside.
        weights: (L, heads · points) how much each sample counts, a mean over heads; sums to 1.
        reference: (2,) the reference point that they lie around, in pixels.
        words: (tokens, h, w) how much each cell of the finest level reads each token; sums to 1 over the tokens.
    """

    answer: Answer
    frame: int
    strides: tuple[int, ...]
    places: np.ndarray
    weights: np.ndarray
    reference: np.ndarray
    words: np.ndarray

    @property
    def weight_of_levels(self) -> np.ndarray:
        """(L,) how much each level counts; sums to 1."""
        return self.weights.sum(1)


@torch.no_grad()
def look(model: SgMg, clip: Clip, frame: int) -> Attention:
    """Run the network over a clip and keep what it attends to in one frame."""
    fused: list[Tensor] = []
    sampled: list[tuple[Any, ...]] = []
    cross = model.transformer.decoder[-1].cross_attention
    assert isinstance(cross, DeformableAttention)
    hooks = [
        model.fusion.word_attention.register_forward_pre_hook(lambda module, given: fused.append(given[0])),
        cross.register_forward_pre_hook(lambda module, given: sampled.append(given)),
    ]
    try:
        with whole_clips():
            answer = ask(model, clip)
    finally:
        for hook in hooks:
            hook.remove()
    query, reference, _, shapes, _ = sampled[0]
    places, weights = cross.samples(query, reference, shapes)  # (T, N, heads, L, points, 2), (T, N, heads, L, points)
    height, width = answer.visual.padding_mask.shape[-2:]
    size = np.array([width, height])
    chosen = answer.query
    words = model.fusion.word_attention.weights(fused[0], clip.text)[frame]
    return Attention(
        answer=answer,
        frame=frame,
        strides=model.config.strides,
        places=places[frame, chosen].transpose(0, 1).flatten(1, 2).cpu().numpy() * size,
        weights=(weights[frame, chosen].transpose(0, 1).flatten(1, 2) / weights.shape[2]).cpu().numpy(),
        reference=reference[frame, chosen, 0, :2].cpu().numpy() * size,
        words=words.float().cpu().numpy(),
    )


def draw(attention: Attention, clip: Clip, folder: Path) -> None:
    """Write `attention.png`, `attention.svg` and the numbers into a folder."""
    image = clip.images[attention.frame]
    mask = attention.answer.masks[attention.frame]
    height, width = image.shape[:2]
    columns = 4
    rows = math.ceil(len(clip.tokens) / columns)
    panel = 2.0
    tall = panel * height / width
    with figure(columns * panel, 2 * tall + rows * (tall + 0.2) + 0.9) as fig:
        grid = fig.add_gridspec(rows + 1, columns, height_ratios=[2.2, *[1.0] * rows])
        axes = fig.add_subplot(grid[0, :])
        axes.imshow(image)
        axes.contour(mask, [0.5], colors="white", linewidths=1.6) if mask.any() and not mask.all() else None
        for level, stride in enumerate(attention.strides):
            axes.scatter(
                attention.places[level][:, 0],
                attention.places[level][:, 1],
                s=400 * np.sqrt(attention.weights[level]) + 2,
                c=LEVEL_COLOURS[level],
                marker=MARKERS[level],
                edgecolors=INK,
                linewidths=0.5,
                alpha=0.85,
                label=f"stride {stride} ({attention.weight_of_levels[level]:.0%})",
            )
        x, y = attention.reference.tolist()
        axes.scatter(x, y, marker="+", s=150, c="white", linewidths=2.5)
        axes.scatter(x, y, marker="+", s=120, c=INK, linewidths=1.2, label="reference point")
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), title="sampling points\n(size: weight)", labelspacing=1.2
        )
        axes.set_title(
            f'"{shortened(clip.expression, 60)}": where the best query looks (score {attention.answer.score:.2f})'
        )
        top = float(attention.words.max())
        panels = [fig.add_subplot(grid[1 + i // columns, i % columns]) for i in range(len(clip.tokens))]
        for axes, token, read in zip(panels, clip.tokens, attention.words, strict=True):
            axes.imshow(image.mean(2), cmap="gray", alpha=0.5)
            h, w = read.shape
            stride = attention.strides[0]
            shown = axes.imshow(
                100 * read, cmap="viridis", vmin=0, vmax=100 * top, alpha=0.75, extent=(0, w * stride, h * stride, 0)
            )
            axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_title(f"{shortened(token, 18)}  {read.mean():.0%}", fontsize=9, pad=2)
        bar = fig.colorbar(shown, ax=panels, shrink=0.8, aspect=30, pad=0.02)
        bar.set_label("attention, %")
        fig.supxlabel(
            f"How much each cell (stride {attention.strides[0]}) reads each word; titles: the mean over the frame.",
            fontsize=8,
            color=FAINT,
        )
        save(fig, folder, "attention")
    save_numbers(
        {
            "expression": clip.expression,
            "score": attention.answer.score,
            "reference": attention.reference.tolist(),
            "levels": [
                {"stride": stride, "weight": float(weight), "points": places.tolist(), "weights": each.tolist()}
                for stride, weight, places, each in zip(
                    attention.strides, attention.weight_of_levels, attention.places, attention.weights, strict=True
                )
            ],
            "words": [
                {"token": token, "mean": float(read.mean()), "highest": float(read.max())}
                for token, read in zip(clip.tokens, attention.words, strict=True)
            ],
        },
        folder,
    )
