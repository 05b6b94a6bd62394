"""What the Gaussian gate of the spectral filters keeps of each level's spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sgmg.analysis.clip import Clip, ask
from sgmg.analysis.figures import BLUE, RED, figure, save, save_numbers, shortened
from sgmg.errors import InputError
from sgmg.model import SgMg
from sgmg.model.fusion import SpectralFilter
from sgmg.model.parts import whole_clips

BINS = 14
"""Rings of frequencies, up to the corner of the spectrum, √½ cycles a cell."""

PLACES = ("before the words", "after the words")


@dataclass(frozen=True)
class Gate:
    """One spectral filter of one model on one clip.

    Attributes:
        place: of `PLACES`.
        stride: of the level.
        amounts: (T,) how much of the Gaussian each frame has taken away.
        frequencies: (n,) centres of rings of spatial frequencies, in cycles a cell.
        kept: (n,) share of the amplitude that passes, a mean over a ring and the frames.
        power: (n,) share of the spectrum's power in each ring, without the mean (frequency 0).
        power_kept: share of all this power that passes.
    """

    place: str
    stride: int
    amounts: np.ndarray
    frequencies: np.ndarray
    kept: np.ndarray
    power: np.ndarray
    power_kept: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "place": self.place,
            "stride": self.stride,
            "attenuation_mean": float(self.amounts.mean()),
            "attenuation_deviation": float(self.amounts.std()),
            "power_kept": self.power_kept,
            "frequencies_cycles_per_cell": self.frequencies.tolist(),
            "amplitude_kept": self.kept.tolist(),
            "power_share": self.power.tolist(),
        }


@torch.no_grad()
def gates_of(model: SgMg, clip: Clip) -> list[Gate]:
    """All spectral filters of a model, by place and level.

    Raises:
        InputError: the model has none (`fusion_operation` is not spectral).
    """
    filters = (model.fusion.filters_before, model.fusion.filters_after)
    if not all(isinstance(module, SpectralFilter) for modules in filters for module in modules):
        raise InputError(
            f"This model has no spectral filters: its fusion_operation is {model.config.fusion_operation}."
        )
    given: list[tuple[Any, ...]] = []
    modules = [module for group in filters for module in group]
    hooks = [module.register_forward_pre_hook(lambda _, arguments: given.append(arguments)) for module in modules]
    try:
        with whole_clips():
            ask(model, clip)
    finally:
        for hook in hooks:
            hook.remove()
    kinds = [(place, stride) for place in PLACES for stride in model.config.strides]
    return [
        _gate(module, x, bump, place, stride)
        for module, (x, bump), (place, stride) in zip(modules, given, kinds, strict=True)
    ]


def _gate(module: torch.nn.Module, x: torch.Tensor, bump: torch.Tensor, place: str, stride: int) -> Gate:
    assert isinstance(module, SpectralFilter)
    amounts = module.amount(x.float())  # (T, 1)
    gate = (1 - amounts[..., None] * bump[:, 0]).cpu().numpy()  # (T, h, w)
    power = torch.fft.fft2(x.float()).abs().square().mean(1).cpu().numpy()  # (T, h, w)
    power[:, 0, 0] = 0
    h, w = power.shape[1:]
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None])
    edges = np.linspace(0, np.sqrt(0.5) + 1e-6, BINS + 1)
    ring = np.digitize(radius, edges) - 1  # (h, w)
    rings = [ring == i for i in range(BINS) if (ring == i).any()]
    return Gate(
        place,
        stride,
        amounts[:, 0].cpu().numpy(),
        np.array([radius[inside].mean() for inside in rings]),
        np.array([gate[:, inside].mean() for inside in rings]),
        np.array([power[:, inside].sum() for inside in rings]) / max(float(power.sum()), 1e-30),
        float((power * gate**2).sum() / max(float(power.sum()), 1e-30)),
    )


def draw(gates: Mapping[str, Sequence[Gate]], clip: Clip, folder: Path) -> None:
    """Write `spectrum.png`, `spectrum.svg` and the numbers into a folder.

    Args:
        gates: of one model, or of two, by the name that the legend has; both have the same levels.
        clip: what they were measured on.
        folder: where the files go.
    """
    strides = sorted({gate.stride for found in gates.values() for gate in found})
    with figure(2.2 * len(strides) + 1.0, 5.6) as fig:
        panels = fig.subplots(len(PLACES), len(strides), sharex=True, sharey=True, squeeze=False)
        for row, place in enumerate(PLACES):
            for column, stride in enumerate(strides):
                axes = panels[row][column]
                kept = []
                for (name, found), colour, line in zip(gates.items(), (BLUE, RED), ("-o", "--s"), strict=False):
                    gate = next(gate for gate in found if (gate.place, gate.stride) == (place, stride))
                    if name == list(gates)[-1]:
                        scale = 100 * gate.power / max(float(gate.power.max()), 1e-12)
                        label = f"power of the features, {name} (highest ring = 100 %)"
                        axes.bar(gate.frequencies, scale, 0.035, color="#DDDDDD", label=label)
                    label = f"amplitude that the gate keeps, {name}"
                    axes.plot(gate.frequencies, 100 * gate.kept, line, color=colour, lw=1.8, ms=3, label=label)
                    kept.append(f"{100 * gate.power_kept:.0f}")
                axes.set_title(f"stride {stride}: {' → '.join(kept)} % of power kept", fontsize=8)
                if column == 0:
                    axes.set_ylabel(f"{place}\n%")
                if row == len(PLACES) - 1:
                    axes.set_xlabel("cycles per cell", fontsize=8)
                axes.set(ylim=(0, 108), xlim=(0, 0.72))
        handles, labels = panels[0][0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=1)
        fig.suptitle(f'What the Gaussian gate keeps of each frequency: "{shortened(clip.expression, 40)}"', fontsize=11)
        save(fig, folder, "spectrum")
    save_numbers(
        {
            "expression": clip.expression,
            "models": {name: [g.to_dict() for g in found] for name, found in gates.items()},
        },
        folder,
    )
