"""A small, frozen detector of COCO's 80 kinds of things: NanoDet-g (R. Lyu, 2020; Apache-2.0), frame by frame.

A classifier was trained on one thing a picture; a detector on scenes in which things touch, hide each other and are
used. Where it finds nothing, what is asked for is probably not there.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.coco import KINDS
from sgmg.model.onednn import LEAK, speed_up_convolutions
from sgmg.model.parts import gradient_if_asked
from sgmg.model.pixels import network_input

#: Detections of a frame that are kept, best first.
DETECTIONS = 40
#: Distances to a box's sides, in cells, that the detector chooses from.
DISTANCES = 11


class Detector(nn.Module):
    """Frames to a feature pyramid and the places of things in it. Its weights are not trained here."""

    strides = (8, 16, 32)
    channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, stride=2)
        self.stages = nn.ModuleList(
            [_Stage(32, 1, stride=1), _Stage(64, 2, stride=2), _Stage(128, 2, stride=2), _Stage(256, 3, stride=2)]
        )
        self.lateral = nn.ModuleList(nn.Conv2d(inner, self.channels, 1) for inner in (128, 256, 512))
        self.heads = nn.ModuleList(
            nn.Sequential(
                _convolution(self.channels, self.channels), nn.Conv2d(self.channels, len(KINDS) + 4 * DISTANCES, 1)
            )
            for _ in self.strides
        )
        speed_up_convolutions(self)
        self.eval()

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """What is in images (n, 3, H, W), uint8 or normalised.

        Returns:
            the pyramid, (n, 128, h, w) at strides 8, 16 and 32, and the detections (n, DETECTIONS, 4 + kinds): left,
            top, right and bottom as shares of the padded frame, and the score of each of COCO's kinds.
        """
        with gradient_if_asked(self, images):
            x = network_input(images).contiguous(memory_format=torch.channels_last)
            x = F.max_pool2d(self.stem(x), 3, 2, 1)
            seen = []
            for stage in self.stages:
                x = stage(x)
                seen.append(x)
            pyramid = self._exchange([lateral(x) for lateral, x in zip(self.lateral, seen[1:], strict=True)])
            heads = [head(x).float() for head, x in zip(self.heads, pyramid, strict=True)]
            found = [_places(x) for x in heads]
            boxes, scores = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
            best = scores.amax(2).topk(DETECTIONS, dim=1).indices[..., None]
            chosen = [x.gather(1, best.expand(-1, -1, x.shape[2])) for x in (boxes, scores)]
            return pyramid, torch.cat(chosen, 2)

    @staticmethod
    def _exchange(maps: list[Tensor]) -> list[Tensor]:
        """Add to each level what the coarser ones hold, then what the finer ones hold."""

        def add(maps: list[Tensor]) -> list[Tensor]:
            mixed = maps[:1]
            for x in maps[1:]:
                mixed.append(x + F.interpolate(mixed[-1], x.shape[2:], mode="bilinear", align_corners=False))
            return mixed

        return add(add(maps[::-1])[::-1])


class _Stage(nn.Module):
    """Twice as many channels as are asked for: the convolved ones, and the same once more through residual blocks."""

    def __init__(self, channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, stride)
        self.blocks = nn.Sequential(*(_Block(channels) for _ in range(blocks)))
        self.last = _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) to (n, 2·C, h, w)."""
        x = self.first(x)
        return torch.cat((self.last(self.blocks(x)), x), 1)


class _Block(nn.Module):
    """Two convolutions whose results stand side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels // 2)
        self.second = _convolution(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, h, w) to the same."""
        x = self.first(x)
        return torch.cat((self.second(x), x), 1)


def _convolution(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.LeakyReLU(LEAK))


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (n, h·w, 4) and scores (n, h·w, kinds) in a level's head (n, kinds + 4·DISTANCES, h, w).

    Every thing is found by several cells around its middle. For each kind, only those stay that score best among
    their neighbours.
    """
    h, w = x.shape[2:]
    scores, sides = x[:, : len(KINDS)].sigmoid(), x[:, len(KINDS) :]
    scores = scores * (scores == F.max_pool2d(scores, 3, 1, 1))
    steps = torch.arange(DISTANCES, device=x.device, dtype=x.dtype)
    distance = (sides.unflatten(1, (4, DISTANCES)).softmax(2) * steps[:, None, None]).sum(2)  # (n, 4, h, w), in cells
    row = torch.arange(h, device=x.device)[:, None] + 0.5
    column = torch.arange(w, device=x.device) + 0.5
    left, top, right, bottom = distance.unbind(1)
    boxes = torch.stack(((column - left) / w, (row - top) / h, (column + right) / w, (row + bottom) / h), -1)
    return boxes.flatten(1, 2).clamp(0, 1), scores.flatten(2).transpose(1, 2)


def cover(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """How much of each cell of a grid (h, w) lies within boxes (n, K, 4) as of `Detector`: (n, K, h, w)."""
    left, top, right, bottom = boxes[..., None].unbind(2)  # (n, K, 1)

    def along(first: Tensor, last: Tensor, cells: int) -> Tensor:  # (n, K, cells)
        edge = torch.arange(cells, device=boxes.device)
        return (torch.minimum(last * cells, edge + 1.0) - torch.maximum(first * cells, edge)).clamp(0, 1)

    rows, columns = along(top, bottom, size[0]), along(left, right, size[1])
    return rows[..., None] * columns[:, :, None]
