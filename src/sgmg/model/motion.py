"""Displacements between neighbouring frames, for encoders that see one frame at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.parts import by_parts, frames_at_once
from sgmg.model.portable import average_to, for_each, is_portable

#: Displacements are searched up to this many cells in each direction.
RADIUS = 2
SPAN = 2 * RADIUS + 1
#: Cells of a row that are compared with those around them in one product.
BLOCK = 16
#: How sharply the best displacement is preferred.
SHARPNESS = 20.0


def directions(maps: Tensor, clips: int) -> Tensor:
    """Features (B·T, C, h, w) of B clips less the clip's mean, of unit length in each cell."""
    mean = for_each(maps.unflatten(0, (clips, -1)).mean((1, 3, 4)), maps.shape[0] // clips)[..., None, None]
    at_once = frames_at_once([(maps.shape[2], maps.shape[3])], 1, len(maps), maps.device)
    return by_parts(lambda x, mean: [F.normalize(x - mean, dim=1)], at_once, maps, mean)[0]


def correlate(cells: Tensor, clips: int, frames: Tensor) -> Tensor:
    """Similarity of each cell to the cells around its place in the next frame.

    The last frame is compared with the one before it, displacements reversed; a single frame with itself.

    Args:
        cells: (B·T, C, h, w) `directions` of B clips.
        clips: B.
        frames: (n,) indices of those that are asked for.

    Returns:
        (n, (2·RADIUS + 1)², h, w) cosine similarities, displacements in reading order (y, then x).
    """
    length = cells.shape[0] // clips
    place = frames % length  # in its clip
    last = place == length - 1
    other = torch.where(last, frames - place.clamp(max=1), frames + 1)
    compare = _correlate_by_shifts if is_portable() else _correlate_by_blocks
    volume = compare(cells.index_select(0, frames), cells.index_select(0, other))
    return torch.where(last[:, None, None, None], volume.flip(1), volume)


def _correlate_by_shifts(here: Tensor, there: Tensor) -> Tensor:
    """Similarities of the cells of n images to those of others: twice (n, C, h, w) to (n, (2·RADIUS + 1)², h, w)."""
    h, w = here.shape[2:]
    padded = F.pad(there, [RADIUS] * 4)
    return torch.stack([(here * padded[..., y : y + h, x : x + w]).sum(1) for y in range(SPAN) for x in range(SPAN)], 1)


def _correlate_by_blocks(here: Tensor, there: Tensor) -> Tensor:
    """The same by products of matrices: a run of cells of a row with all cells around them, of which a quarter counts.

    Of the products of a run of BLOCK cells with SPAN rows of BLOCK + 2·RADIUS cells, each cell's own lie one further in
    each row than those of the cell before it.
    """
    w = here.shape[3]
    runs, around = -(-w // BLOCK), BLOCK + 2 * RADIUS
    missing = runs * BLOCK - w
    cells = F.pad(here, [0, missing]).permute(0, 2, 3, 1).unflatten(2, (runs, BLOCK))  # (n, h, runs, BLOCK, C)
    padded = F.pad(there, [RADIUS, RADIUS + missing, RADIUS, RADIUS]).permute(0, 2, 3, 1)
    windows = padded.unfold(2, around, BLOCK).unfold(1, SPAN, 1).transpose(4, 5)  # (n, h, runs, C, SPAN, around)
    with torch.autocast(here.device.type, enabled=False):
        products = cells @ windows.flatten(4)  # (n, h, runs, BLOCK, SPAN · around)
    steps = products.stride()
    own = products.as_strided((*products.shape[:4], SPAN, SPAN), (*steps[:3], steps[3] + 1, around, 1))
    return own.flatten(4).flatten(2, 3)[:, :, :w].permute(0, 3, 1, 2)


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
        measured = 2 * (SPAN**2 + 4)
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

        cells = [directions(maps, clips) for maps in stages[:2]]

        def measure(frames: Tensor) -> list[Tensor]:
            measured = []
            for maps in cells:
                volume = correlate(maps, clips, frames)
                moved = displacement(volume)
                camera = moved.mean((2, 3), keepdim=True)
                measured.append(average_to(torch.cat((volume, moved, moved - camera), 1), grid))
            x = self.convolutions(torch.cat(measured, 1))
            return [average_to(x, size) for size in sizes]

        frames = torch.arange(stages[0].shape[0], device=stages[0].device)  # len() is fixed in an export
        at_once = frames_at_once([(stages[0].shape[2], stages[0].shape[3])], 1, len(frames), frames.device)
        maps = by_parts(measure, at_once, frames)
        return [projection(x) for projection, x in zip(self.projections, maps, strict=True)]
