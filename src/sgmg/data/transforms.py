"""Augmentation of training clips on torchvision's transforms: frames and masks move together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from sgmg.data.sample import Sample

SHORT_SIDES = (288, 320, 352, 392, 416, 448, 480, 512)
LONG_SIDE = 640
MEAN_COLOUR = [124.0, 116.0, 104.0]
"""Of ImageNet's images, in [0, 255]."""
_SIDES = re.compile(r"\b(left|right)(most|wards?|hand|-most|-hand)?\b", re.IGNORECASE)


def swap_sides(expression: str) -> str:
    """The sentence after its video is mirrored: left and right change places, as whole words.

    Example:
        >>> swap_sides("the leftmost dog on the right, left alone")
        'the rightmost dog on the left, right alone'
    """

    def other(match: re.Match[str]) -> str:
        side, rest = match[1], match[2] or ""
        swapped = "right" if side.lower() == "left" else "left"
        swapped = swapped.upper() if side.isupper() else swapped.capitalize() if side[0].isupper() else swapped
        return swapped + rest

    return _SIDES.sub(other, expression)


class RandomSizeCrop(v2.Transform):
    """Crop to a random height and width, each between two bounds in pixels, or the frame's own if smaller."""

    def __init__(self, smallest: int, largest: int) -> None:
        super().__init__()
        self.smallest, self.largest = smallest, largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, int]:
        """Draw a window."""
        height, width = v2.query_size(flat_inputs)
        size = []
        for side in (height, width):
            low, high = min(self.smallest, side), min(self.largest, side)
            size.append(int(torch.randint(low, high + 1, ())))
        return {
            "top": int(torch.randint(height - size[0] + 1, ())),
            "left": int(torch.randint(width - size[1] + 1, ())),
            "height": size[0],
            "width": size[1],
        }

    def transform(self, inpt: Any, params: dict[str, int]) -> Any:
        """Cut the window out."""
        return F.crop(inpt, **params)


class ImageMotion(v2.Transform):
    """A single image becomes a clip: it turns, shifts, grows and slants at a steady pace, frames and masks together.

    The motion's middle is the image as it is. Pixels from outside of the image are of ImageNet's mean colour,
    which the network takes for nothing.

    Args:
        clip_length: frames of the clip.
        degrees: the largest turn from the first to the last frame, either way.
        translate: the largest shift, as a share of height and width.
        scale: the largest growth or shrinking, as a factor.
        shear: the largest slant, in degrees.
    """

    def __init__(
        self,
        clip_length: int,
        degrees: float = 20.0,
        translate: float = 0.2,
        scale: float = 1.3,
        shear: float = 10.0,
    ) -> None:
        super().__init__()
        self.clip_length = clip_length
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw a motion; where each frame stands in it."""
        height, width = v2.query_size(flat_inputs)
        turn, right, down, growth, slant = (2 * torch.rand(5) - 1).tolist()
        times = torch.linspace(-0.5, 0.5, self.clip_length).tolist() if self.clip_length > 1 else [0.0]
        return {
            "frames": [
                {
                    "angle": self.degrees * turn * time,
                    "translate": [self.translate * right * width * time, self.translate * down * height * time],
                    "scale": self.scale ** (growth * time),
                    "shear": [self.shear * slant * time, 0.0],
                }
                for time in times
            ]
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Move frames, (1, 3, H, W), or masks, (…, 1, H, W), to (T, 3, H, W) and (…, T, H, W)."""
        if isinstance(inpt, tv_tensors.Mask):
            moved = [F.affine(inpt.to(torch.uint8), **frame) for frame in params["frames"]]
            return tv_tensors.Mask(torch.cat(moved, dim=-3).to(inpt.dtype))
        moved = [
            F.affine(inpt, **frame, interpolation=v2.InterpolationMode.BILINEAR, fill=MEAN_COLOUR)
            for frame in params["frames"]
        ]
        return tv_tensors.Video(torch.cat(moved))


@dataclass(frozen=True)
class AugmentationConfig:
    """What is done to training clips; random choices are the same for all frames of a clip.

    Attributes:
        flip: probability of mirroring, left and right changing places in the sentence.
        photometric: random brightness, contrast, saturation, hue and order of channels.
        resize: as published, half of the time to a random short side of `short_sides`, long side at most
            `long_side`, and half of the time to a short side of 400, 500 or 600, cropped to 384-600, then
            resized as before. False keeps the size.
        crop: False leaves out that second half.
        short_sides: in pixels.
        long_side: in pixels.
        image_motion: clips of a single frame, which is to say images, become clips of the length asked for, by
            random affine motion.
    """

    flip: float = 0.5
    photometric: bool = True
    resize: bool = True
    crop: bool = True
    short_sides: tuple[int, ...] = SHORT_SIDES
    long_side: int = LONG_SIDE
    image_motion: bool = False


class Augmentation:
    """Augments a clip with torch's global random numbers.

    Args:
        config: what is done; the default is the published augmentation.
        clip_length: frames of the clips that single images become, where the configuration asks for it.
    """

    def __init__(self, config: AugmentationConfig | None = None, clip_length: int = 1) -> None:
        self.config = config or AugmentationConfig()
        self.motion = ImageMotion(clip_length) if self.config.image_motion else None
        steps: list[nn.Module] = []
        if self.config.photometric:
            steps.append(v2.RandomPhotometricDistort())
        if self.config.resize:
            resize = v2.RandomShortestSize(list(self.config.short_sides), self.config.long_side)
            crop = v2.Compose([v2.RandomShortestSize([400, 500, 600]), RandomSizeCrop(384, 600), resize])
            steps.append(v2.RandomChoice([resize, crop]) if self.config.crop else resize)
        self.transform = v2.Compose([*steps, v2.ToPureTensor()]) if steps else None

    def __call__(self, samples: Sequence[Sample]) -> list[Sample]:
        """Augment the expressions of one clip, which share their frames, and go on sharing them."""
        frames = tv_tensors.Video(samples[0].frames)
        masks = tv_tensors.Mask(torch.stack([sample.masks for sample in samples]))
        flip = bool(torch.rand(()) < self.config.flip)
        if flip:
            frames, masks = F.horizontal_flip(frames), F.horizontal_flip(masks)
        moved = self.motion is not None and len(frames) == 1
        if self.motion is not None and moved:
            frames, masks = self.motion(frames, masks)
        if self.transform is not None:
            frames, masks = self.transform(frames, masks)
        frames = frames.as_subclass(torch.Tensor).contiguous()
        return [
            replace(
                sample,
                frames=frames,
                masks=mask.as_subclass(torch.Tensor),
                expression=swap_sides(sample.expression) if flip else sample.expression,
                frame_names=sample.frame_names * len(frames) if moved else sample.frame_names,
            )
            for sample, mask in zip(samples, masks, strict=True)
        ]
