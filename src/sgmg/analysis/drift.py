"""Feature drift: what decoding does to the features that kernels were predicted for (the paper's Figure B)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sgmg.analysis.clip import Clip
from sgmg.analysis.figures import BLUE, FAINT, ORANGE, figure, require, save, save_numbers, shortened
from sgmg.errors import InputError
from sgmg.model import SgMg
from sgmg.model.deformable import TransformerOutput
from sgmg.model.feature_decoder import FeatureDecoder
from sgmg.model.parts import whole_clips
from sgmg.model.sgmg import mask_at_size


@dataclass(frozen=True)
class Tokens:
    """The same cells of a clip before and after decoding.

    Attributes:
        before, after: (n, d) float32, row i of both is the same cell.
        frames: (n,) which frame each cell is of.
    """

    before: np.ndarray
    after: np.ndarray
    frames: np.ndarray


@dataclass(frozen=True)
class Separation:
    """How far two sets of tokens are apart.

    Attributes:
        silhouette: mean silhouette coefficient of the two sets, -1 to 1; 0 where they overlap altogether.
        accuracy: share of the tokens that a linear classifier (logistic regression) puts into the right set, in
            frames that it was not fitted on; 0.5 is chance.
    """

    silhouette: float
    accuracy: float


@dataclass(frozen=True)
class Drift:
    """What decoding did to a clip's features.

    Attributes:
        tokens: how many cells were looked at.
        frames: of how many frames.
        encoded_decoded: encoded and decoded features as they are, each channel scaled by the deviation of both.
        shapes_only: after each of the two is centred and scaled by itself: what is more than a shift or a scale.
        control: two random halves of the encoded features, what is found where there is nothing.
        plane_silhouette: silhouette in the t-SNE plane, of what the figure shows.
    """

    tokens: int
    frames: int
    encoded_decoded: Separation
    shapes_only: Separation
    control: Separation
    plane_silhouette: float


@torch.no_grad()
def tokens_of(model: SgMg, clip: Clip, count: int = 1000, seed: int = 0) -> Tokens:
    """Features at stride 8 that masks are drawn on, without and with decoding, at the same random cells.

    Args:
        model: one with a `FeatureDecoder`, that segments or observes.
        clip: the frames and the expression.
        count: how many cells, the same number of each frame.
        seed: of the choice.

    Raises:
        InputError: the model has no decoder.
    """
    decoder = next((module for module in model.modules() if isinstance(module, FeatureDecoder)), None)
    if decoder is None:
        raise InputError(
            "This model decodes no features: drift is measured on a model trained with "
            "model.feature_decoder=segment or observe."
        )
    outputs: list[TransformerOutput] = []
    hook = model.transformer.register_forward_hook(lambda module, given, output: outputs.append(output))
    try:
        with whole_clips():
            visual = model.encode_video(clip.frames)
            model.decode(visual, clip.text)
    finally:
        hook.remove()
    memory = model.segmented_levels(outputs[0])
    after = decoder(memory, visual.stages, clip.text)  # (T, d, h, w)
    size = (after.shape[2], after.shape[3])
    before = sum_at_size(memory, size)
    real = (~mask_at_size(visual.padding_mask, size)[0]).flatten().nonzero()[:, 0].cpu().numpy()
    random = np.random.default_rng(seed)
    each = max(1, min(count // len(after), len(real)))
    chosen = [np.sort(random.choice(real, each, replace=False)) for _ in after]

    def rows(maps: Tensor) -> np.ndarray:
        cells = maps.flatten(2).transpose(1, 2).float().cpu().numpy()  # (T, h·w, d)
        return np.concatenate([cells[frame, cell] for frame, cell in enumerate(chosen)])

    return Tokens(rows(before), rows(after), np.repeat(np.arange(len(after)), each))


def sum_at_size(levels: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Levels resized as conditional patch segmentation resizes them, and summed: (n, d, h, w)."""
    resized = [
        x if x.shape[2:] == size else F.interpolate(x, size, mode="bicubic", align_corners=False) for x in levels
    ]
    return torch.stack(resized).sum(0)


def measure(tokens: Tokens, seed: int = 0) -> tuple[Drift, np.ndarray]:
    """The numbers of a drift, and the tokens in the t-SNE plane, (2, n, 2): before, after."""
    require("sklearn")
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    together = _scaled(np.concatenate((tokens.before, tokens.after)))
    labels = np.repeat([0, 1], len(tokens.before))
    frames = np.tile(tokens.frames, 2)
    apart = np.concatenate((_scaled(tokens.before), _scaled(tokens.after)))
    halves = np.random.default_rng(seed).permutation(len(tokens.before)) % 2
    perplexity = min(30.0, (len(together) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(together)
    drift = Drift(
        tokens=len(tokens.before),
        frames=len(set(tokens.frames.tolist())),
        encoded_decoded=_separation(together, labels, frames),
        shapes_only=_separation(apart, labels, frames),
        control=_separation(_scaled(tokens.before), halves, tokens.frames),
        plane_silhouette=float(silhouette_score(plane, labels)),
    )
    return drift, plane.reshape(2, -1, 2)


def _scaled(rows: np.ndarray) -> np.ndarray:
    """Each channel with mean 0 and deviation 1; constant channels become 0."""
    deviation = rows.std(0)
    return (rows - rows.mean(0)) / np.where(deviation > 1e-12, deviation, 1)


def _separation(rows: np.ndarray, labels: np.ndarray, frames: np.ndarray) -> Separation:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import silhouette_score
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score

    folds = min(5, len(set(frames.tolist())))
    # Cells of one frame are alike: they must not lie on both sides of the split.
    split = GroupKFold(folds) if folds > 1 else StratifiedKFold(5)
    scores = cross_val_score(LogisticRegression(max_iter=500), rows, labels, groups=frames, cv=split)
    return Separation(float(silhouette_score(rows, labels)), float(scores.mean()))


def draw(drift: Drift, plane: np.ndarray, clip: Clip, folder: Path) -> None:
    """Write `drift.png`, `drift.svg` and the numbers into a folder."""
    with figure(6.4, 4.6) as fig:
        axes = fig.subplots()
        for points, colour, marker, label in zip(
            plane, (BLUE, ORANGE), ("o", "^"), ("encoded (before decoding)", "decoded (after)"), strict=True
        ):
            axes.scatter(points[:, 0], points[:, 1], s=9, c=colour, marker=marker, alpha=0.7, linewidths=0, label=label)
        axes.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
        axes.set_title(f'Features of "{shortened(clip.expression, 50)}" before and after decoding')
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, markerscale=2)
        found, control = drift.encoded_decoded, drift.control
        fig.supxlabel(
            f"{drift.tokens} cells of {drift.frames} frames. In {found.accuracy:.0%} of the cells a linear classifier "
            f"tells which is which\n(shift and scale removed: {drift.shapes_only.accuracy:.0%}; random halves: "
            f"{control.accuracy:.0%}). Silhouette {found.silhouette:.2f} (random halves: {control.silhouette:.2f}).",
            fontsize=8,
            color=FAINT,
        )
        save(fig, folder, "drift")
    save_numbers({"expression": clip.expression, **asdict(drift)}, folder)
