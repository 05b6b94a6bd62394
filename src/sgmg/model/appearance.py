"""Colours and textures from pixels and shallow stages, which the deep stages of a classifier forget."""

import torch
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.parts import by_parts, frames_at_once
from sgmg.model.pixels import network_input
from sgmg.model.portable import average_to


class Appearance(nn.Module):
    """Hints for the fused levels from the frame itself and the stages at strides 4 and 8.

    Colours are told apart at stride 4 and only then averaged, so that a cell knows which colours it holds.
    """

    channels = 32

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        self.at_stride_4 = nn.Sequential(nn.Conv2d(3 + stage_channels[0], self.channels, 1), nn.ReLU())
        self.at_stride_8 = nn.Sequential(nn.Conv2d(stage_channels[1], self.channels, 1), nn.ReLU())
        self.projections = nn.ModuleList()
        for _ in config.strides:
            projection = nn.Conv2d(2 * self.channels, config.hidden_size, 1)
            nn.init.zeros_(projection.weight)  # the levels begin as they are
            self.projections.append(projection)

    def forward(self, frames: Tensor, stages: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """A hint (n, d, h, w) for each level's size.

        Args:
            frames: (n, 3, H, W), uint8 or normalised.
            stages: (n, C, h, w) of the visual encoder.
            sizes: (h, w) of each level.
        """
        first = (stages[0].shape[2], stages[0].shape[3])

        def see(frames: Tensor, at_stride_4: Tensor, at_stride_8: Tensor) -> list[Tensor]:
            seen = [self.at_stride_4(torch.cat((average_to(network_input(frames), first), at_stride_4), 1))]
            seen.append(self.at_stride_8(at_stride_8))
            return [torch.cat([average_to(x, size) for x in seen], 1) for size in sizes]

        at_once = frames_at_once([first], 1, len(frames), frames.device)
        maps = by_parts(see, at_once, frames, *stages[:2])
        return [projection(x) for projection, x in zip(self.projections, maps, strict=True)]
