"""Where the cells of all levels are in a frame: what the deformable transformer knows of them beside their features."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sgmg.model.positions import cell_positions

Shapes = list[tuple[int, int]]


@dataclass
class Cells:
    """The S cells of n maps' levels, one level after another. All frames of a clip have the same.

    Attributes:
        shapes: (h, w) of each level.
        padding_mask: (n, S) bool, True on padding.
        ratios: (n, levels, 2) unpadded shares of width and height.
        references: (n, S, levels, 2) each cell's centre as a place in every level, x and y in [0, 1].
        positions: (n, S, d) position embeddings.
    """

    shapes: Shapes
    padding_mask: Tensor
    ratios: Tensor
    references: Tensor
    positions: Tensor

    @classmethod
    def of(cls, padding_masks: list[Tensor], level_embedding: Tensor) -> "Cells":
        """Of padding masks (n, h, w) of each level, and embeddings (levels, d) that are added to positions."""
        shapes: Shapes = [(mask.shape[1], mask.shape[2]) for mask in padding_masks]
        ratios = torch.stack([valid_ratio(mask) for mask in padding_masks], 1)
        positions = [
            cell_positions(mask, level_embedding.shape[1]).flatten(2).transpose(1, 2) + embedding
            for mask, embedding in zip(padding_masks, level_embedding, strict=True)
        ]
        mask = torch.cat([mask.flatten(1) for mask in padding_masks], 1)
        return cls(shapes, mask, ratios, cell_references(shapes, ratios), torch.cat(positions, 1))

    def each(self, of: Callable[[Tensor], Tensor]) -> "Cells":
        """What a function makes of the rows of each tensor."""
        return replace(
            self,
            padding_mask=of(self.padding_mask),
            ratios=of(self.ratios),
            references=of(self.references),
            positions=of(self.positions),
        )


def valid_ratio(padding_mask: Tensor) -> Tensor:
    """Unpadded share of a level's width and height: (n, h, w) to (n, 2), x first."""
    real = (~padding_mask).float()
    return torch.stack((real[:, 0].mean(1), real[:, :, 0].mean(1)), -1)


def cell_references(shapes: Shapes, ratios: Tensor) -> Tensor:
    """Every cell's centre, as a reference point in every level: (n, S, levels, 2)."""
    references = []
    for level, (h, w) in enumerate(shapes):
        y = torch.arange(0.5, h, device=ratios.device)[None] / (ratios[:, level, None, 1] * h)  # (n, h)
        x = torch.arange(0.5, w, device=ratios.device)[None] / (ratios[:, level, None, 0] * w)  # (n, w)
        references.append(torch.stack((x[:, None].expand(-1, h, -1), y[..., None].expand(-1, -1, w)), -1).flatten(1, 2))
    return torch.cat(references, 1)[:, :, None] * ratios[:, None]
