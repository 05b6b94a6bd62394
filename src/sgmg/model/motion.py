"""Displacements between neighbouring frames, for encoders that see one frame at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.parts import frames_at_once, parts_of
from sgmg.model.portable import average_to

#: Displacements are searched up to this many cells in each direction.
RADIUS = 2
#: How sharply the best displacement is preferred.
SHARPNESS = 20.0


def correlate(maps: Tensor) -> Tensor:
    """Similarity of each cell to the cells around its place in the next frame.

    The last frame is compared with the one before it, displacements reversed; a single frame with itself.

    Args:
        maps: (B, T, C, h, w).

    Returns:
        (B, T, (2·RADIUS + 1)², h, w) cosine similarities, displacements in reading order (y, then x).
    """
    centred = F.normalize(maps - maps.mean((1, 3, 4), keepdim=True), dim=2)
    other = torch.cat((centred[:, 1:], centred[:, -2:][:, :1]), 1)
    here, there = centred.flatten(0, 1), other.flatten(0, 1)
    size = (maps.shape[3], maps.shape[4])
    at_once = frames_at_once([size], 1, here.shape[0], maps.device)
    pairs = zip(parts_of(here, at_once), parts_of(there, at_once), strict=True)
    volume = torch.cat([_correlate_images(*pair) for pair in pairs])
    volume = volume.unflatten(0, maps.shape[:2])
    return torch.cat((volume[:, :-1], volume[:, -1:].flip(2)), 1)


def _correlate_images(here: Tensor, there: Tensor) -> Tensor:
    """Similarities of the cells of n images to those of others: twice (n, C, h, w) to (n, (2·RADIUS + 1)², h, w)."""
    h, w = here.shape[2:]
    padded = F.pad(there, [RADIUS] * 4)
    span = range(2 * RADIUS + 1)
    return torch.stack([(here * padded[..., y : y + h, x : x + w]).sum(1) for y in span for x in span], 1)


def displacement(volume: Tensor) -> Tensor:
    """Expected displacement in cells, x then y: (n, (2·RADIUS + 1)², h, w) to (n, 2, h, w)."""
    steps = torch.arange(-RADIUS, RADIUS + 1, device=volume.device, dtype=volume.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack((x.flatten(), y.flatten()))  # (2, n)
    return torch.einsum("nkhw,ck->nchw", (SHARPNESS * volume).softmax(1), places)


class Motion(nn.Module):
    """Hints for the fused levels from displacements at strides 4 and 8, in the picture and against the camera's."""

    channels = 64

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        measured = 2 * ((2 * RADIUS + 1) ** 2 + 4)
        self.convolutions = nn.Sequential(
            nn.Conv2d(measured, self.channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.channels, self.channels, 3, padding=1),
            nn.ReLU(),
        )
        self.projections = nn.ModuleList(nn.Conv2d(self.channels, config.hidden_size, 1) for _ in config.strides)

    def forward(self, stages: list[Tensor], clips: int, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Stages (B·T, C, h, w) at strides 4 and 8 to a hint (B·T, d, h, w) for each level's size."""
        grid = (stages[1].shape[2], stages[1].shape[3])
        measured = []
        for maps in stages[:2]:
            volume = correlate(maps.unflatten(0, (clips, -1))).flatten(0, 1)
            moved = displacement(volume)
            camera = moved.mean((2, 3), keepdim=True)
            measured.append(average_to(torch.cat((volume, moved, moved - camera), 1), grid))
        x = self.convolutions(torch.cat(measured, 1))
        return [projection(average_to(x, size)) for projection, size in zip(self.projections, sizes, strict=True)]
