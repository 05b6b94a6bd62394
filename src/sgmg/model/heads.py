"""From queries and encoded features to masks: conditional patch segmentation, then its optimiser."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.deformable import MLP

#: Cells of a patch: 4 x 4 pixels at stride 2 for each cell at stride 8.
PATCH = 4
#: Stride of the cells that hold a patch.
CELL = 8


class ConditionalPatchSegmentation(nn.Module):
    """CPK: each query makes two point-wise convolutions that draw a 4x4 patch in every cell."""

    hidden = 16

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.scale = config.coordinate_scale
        self.channels = config.hidden_size + 2  # features and relative x, y
        self.sizes = [
            self.channels * self.hidden,
            self.hidden * PATCH**2,
            self.hidden,
            PATCH**2,
        ]
        self.kernels = MLP(config.hidden_size, sum(self.sizes))
        for layer in self.kernels:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, levels: list[Tensor], size: tuple[int, int], queries: Tensor, reference: Tensor) -> Tensor:
        """Segment the sum of the levels, each resized to stride 8 (bicubic).

        Args:
            levels: (n, d, h_i, w_i) encoder output at strides up to 32.
            size: (h, w) of stride 8.
            queries: (n, N, d).
            reference: (n, N, 2) reference points, x and y in pixels.

        Returns:
            (n, N, 16, h, w) patch mask logits.
        """
        n, count, _ = queries.shape
        h, w = size
        weight1, weight2, bias1, bias2 = self.kernels(queries).split(self.sizes, -1)
        weight1 = weight1.view(n, count, self.hidden, self.channels)
        weight2 = weight2.view(n, count, PATCH**2, self.hidden)
        # Resizing and a point-wise convolution commute, and the convolution leaves fewer channels to resize.
        features = weight1[..., :-2].flatten(1, 2)  # (n, N·hidden, d)
        drawn = [(features @ level.flatten(2)).unflatten(2, level.shape[-2:]) for level in levels]
        shared = torch.stack(
            [x if x.shape[-2:] == size else F.interpolate(x, size, mode="bicubic", align_corners=False) for x in drawn]
        ).sum(0)  # (n, N·hidden, h, w)
        # The relative coordinates are the reference minus the cell's place: two channels that separate.
        coordinate = weight1[..., -2:] * self.scale  # (n, N, hidden, 2)
        at_reference = (coordinate * reference[:, :, None]).sum(-1) + bias1  # (n, N, hidden)
        x = torch.arange(w, device=queries.device) * CELL + CELL / 2
        y = torch.arange(h, device=queries.device) * CELL + CELL / 2
        hidden = (
            shared.unflatten(1, (count, self.hidden))
            + at_reference[..., None, None]
            - coordinate[..., 0, None, None] * x
            - coordinate[..., 1, None, None] * y[:, None]
        )
        patches = weight2 @ F.relu(hidden).flatten(3) + bias2[..., None]
        return patches.view(n, count, PATCH**2, h, w)


class MaskOptimiser(nn.Module):
    """MSO: patch masks, refined with the visual encoder's stages at strides 8 and 4, to full resolution."""

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        patch = PATCH**2

        def refiner(channels: int) -> nn.Sequential:
            parts = [patch + channels, config.optimiser_width, patch]
            convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(parts)]
            return nn.Sequential(nn.ReLU(), convolutions[0], nn.ReLU(), convolutions[1])

        self.at_stride_8 = refiner(stage_channels[1])
        self.at_stride_4 = refiner(stage_channels[0])

    def forward(self, patches: Tensor, stages: list[Tensor]) -> Tensor:
        """Patch masks (n, 16, h, w) of one query a frame and the visual stages to logits (n, 8·h, 8·w).

        The output is four times the size of the stage at stride 4.
        """
        patches = patches + self.at_stride_8(torch.cat((patches, stages[1]), 1))
        patches = F.interpolate(patches, stages[0].shape[-2:], mode="bilinear", align_corners=False)
        patches = patches + self.at_stride_4(torch.cat((patches, stages[0]), 1))
        return F.pixel_shuffle(patches, PATCH)[:, 0]
