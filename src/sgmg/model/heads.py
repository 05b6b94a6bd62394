"""From queries and encoded features to masks: conditional patch segmentation, then its optimiser."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.deformable import MLP

#: Cells of a patch: 4 x 4 pixels at stride 2 for each cell at stride 8.
PATCH = 4
#: Stride of the cells that hold a patch.
CELL = 8


def picture(patches: Tensor) -> Tensor:
    """Patches (..., 16, h, w) laid side by side: (..., 4·h, 4·w)."""
    return F.pixel_shuffle(patches.flatten(0, -4), PATCH)[:, 0].unflatten(0, patches.shape[:-3])


class ConditionalPatchSegmentation(nn.Module):
    """CPK: each query makes two point-wise convolutions that draw a 4x4 patch in every cell."""

    hidden = 16
    #: Channels that the second convolution draws in each cell.
    drawn = PATCH**2

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.scale = config.coordinate_scale
        self.channels = config.hidden_size + 2  # features and relative x, y
        self.sizes = [
            self.channels * self.hidden,
            self.hidden * self.drawn,
            self.hidden,
            self.drawn,
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
        weight2 = weight2.view(n, count, self.drawn, self.hidden)
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
        return patches.view(n, count, self.drawn, h, w)


class ConditionalCellSegmentation(ConditionalPatchSegmentation):
    """Without CPK (the paper's Table B): each query draws one value in every cell.

    The mask at stride 8 is resized to stride 2 (bilinear) and cut into the same 4x4 patches, so that matching, losses
    and the mask optimiser are those of the whole network, and only the kernels differ.
    """

    drawn = 1

    def forward(self, levels: list[Tensor], size: tuple[int, int], queries: Tensor, reference: Tensor) -> Tensor:
        """As `ConditionalPatchSegmentation`; (n, N, 16, h, w) patch mask logits."""
        cells = super().forward(levels, size, queries, reference)  # (n, N, 1, h, w)
        mask = F.interpolate(cells.flatten(0, 1), scale_factor=PATCH, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(mask, PATCH).unflatten(0, cells.shape[:2])


def build_segmentation(config: SgMgConfig) -> ConditionalPatchSegmentation:
    """The head that draws what MSO refines: CPK, or what is in its place."""
    return ConditionalPatchSegmentation(config) if config.patch_kernels else ConditionalCellSegmentation(config)


class Refiner(nn.Sequential):
    """Patch masks, refined by two convolutions that also see one stage of the visual encoder."""

    def __init__(self, stage_channels: int, width: int) -> None:
        patch = PATCH**2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(patch + stage_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, patch, 3, padding=1),
        )

    def look(self, stage: Tensor) -> Tensor:
        """A stage's part in the first convolution, which serves all expressions: (n, C, h, w) to (n, width, h, w)."""
        relu, first, *_ = self
        assert isinstance(first, nn.Conv2d)
        return F.conv2d(relu(stage), first.weight[:, PATCH**2 :], first.bias, padding=1)

    def forward(self, patches: Tensor, detail: Tensor) -> Tensor:  # type: ignore[override]
        """Patches (B, E, T, 16, h, w) of E expressions a clip and what `look` gave (B·T, width, h, w) to refined."""
        relu, first, _, last = self
        assert isinstance(first, nn.Conv2d)
        # The first convolution is a sum over its two inputs.
        hidden = F.conv2d(relu(patches.flatten(0, 2)), first.weight[:, : PATCH**2], padding=1)
        hidden = hidden.unflatten(0, patches.shape[:3]) + detail.unflatten(0, (patches.shape[0], -1))[:, None]
        return patches + last(relu(hidden).flatten(0, 2)).view(patches.shape)


class MaskOptimiser(nn.Module):
    """MSO: patch masks, refined with the visual encoder's stages at strides 8 and 4, to full resolution."""

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        self.at_stride_8 = Refiner(stage_channels[1], config.optimiser_width)
        self.at_stride_4 = Refiner(stage_channels[0], config.optimiser_width)

    def look(self, stage: int, x: Tensor) -> Tensor:
        """All that is ever asked of the stage at stride 4 (index 0) or 8 (1): (n, C, h, w) to (n, width, h, w)."""
        return (self.at_stride_4, self.at_stride_8)[stage].look(x)

    def forward(self, patches: Tensor, details: list[Tensor]) -> Tensor:
        """Patch masks of one query to mask logits at four times the size of the stage at stride 4.

        Args:
            patches: (B, E, T, 16, h, w) of E expressions a clip.
            details: (B·T, width, h, w) of the clips, what `look` saw at strides 4 and 8.

        Returns:
            (B, E, T, H, W).
        """
        at_stride_4, at_stride_8 = details
        patches = self.at_stride_8(patches, at_stride_8)
        resized = F.interpolate(patches.flatten(0, 2), at_stride_4.shape[-2:], mode="bilinear", align_corners=False)
        return picture(self.at_stride_4(resized.unflatten(0, patches.shape[:3]), at_stride_4))


class MaskResizer(nn.Module):
    """Without MSO (the paper's Table B): patch masks, resized to full resolution. It has no weights."""

    def look(self, stage: int, x: Tensor) -> Tensor:
        """One channel, of which only the size counts."""
        return x[:, :1].clone()

    def forward(self, patches: Tensor, details: list[Tensor]) -> Tensor:
        """As `MaskOptimiser`; of the details only the size counts."""
        masks = picture(patches)  # (B, E, T, h, w) at stride 2
        h, w = details[0].shape[-2:]
        return F.interpolate(
            masks.flatten(0, 1), (PATCH * h, PATCH * w), mode="bilinear", align_corners=False
        ).unflatten(0, masks.shape[:2])


def build_mask_optimiser(config: SgMgConfig, stage_channels: list[int]) -> MaskOptimiser | MaskResizer:
    """From patch masks to masks: MSO, or what is in its place."""
    return MaskOptimiser(config, stage_channels) if config.mask_optimiser else MaskResizer()
