"""From frames as they are read to what the network takes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sgmg.model.config import PIXEL_DEVIATION, PIXEL_MEAN, padded_size


def normalised(images: Tensor) -> Tensor:
    """Images (..., 3, H, W), uint8, with ImageNet's mean and deviation taken out; float ones stay as they are."""
    if images.dtype != torch.uint8:
        return images
    mean, deviation = (images.new_tensor(x, dtype=torch.float32)[:, None, None] for x in (PIXEL_MEAN, PIXEL_DEVIATION))
    return images.float().div_(255).sub_(mean).div_(deviation)


def network_input(images: Tensor) -> Tensor:
    """Images (..., 3, H, W), uint8 or `normalised`, with zeros behind and below them where the network needs more."""
    images = normalised(images)
    (h, w), (rows, columns) = images.shape[-2:], padded_size(images.shape[-2:])
    return F.pad(images, [0, columns - w, 0, rows - h]) if (rows, columns) != (h, w) else images
