"""Clips to feature maps at strides 4, 8, 16 and 32."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from typing import Any, TypeAlias

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint
from torchvision.models.video.swin_transformer import SwinTransformer3d

from sgmg.model.config import PIXEL_DEVIATION, PIXEL_MEAN, ModelError, SgMgConfig, padded_size
from sgmg.model.onednn import speed_up_convolutions
from sgmg.model.parts import by_parts, frames_at_once, gradient_if_asked
from sgmg.model.pixels import network_input
from sgmg.model.windows import WindowBlock

#: Takes the maps of n frames at strides 4, 8, 16 and 32, (n, C, h, w), one after another, as soon as they are there.
Take: TypeAlias = Callable[[Tensor], None]
#: The same for some frames after others: the number of the stage, and its maps of these frames.
TakeFrames: TypeAlias = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class SwinSize:
    """Dimensions of a Video Swin transformer, and its published drop path rate."""

    embed_dim: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    drop_path: float


VIDEO_SWIN = {
    "video_swin_t": SwinSize(96, (2, 2, 6, 2), (3, 6, 12, 24), 0.1),
    "video_swin_s": SwinSize(96, (2, 2, 18, 2), (3, 6, 12, 24), 0.1),
    "video_swin_b": SwinSize(128, (2, 2, 18, 2), (4, 8, 16, 32), 0.2),
}


class VideoSwin(nn.Module):
    """Video Swin (Liu et al., CVPR 2022) with patches of a single frame, so that each frame keeps its own features."""

    def __init__(self, name: str) -> None:
        super().__init__()
        size = VIDEO_SWIN[name]
        swin = SwinTransformer3d(
            patch_size=[1, 4, 4],
            embed_dim=size.embed_dim,
            depths=list(size.depths),
            num_heads=list(size.heads),
            window_size=[8, 7, 7],
            stochastic_depth_prob=size.drop_path,
            block=WindowBlock,
        )
        self.patch_embed, self.features = swin.patch_embed, swin.features
        self.channels = [size.embed_dim * 2**i for i in range(4)]
        self.recompute = False

    def recompute_activations(self) -> None:
        """Keep only what enters each block, and compute the rest again in the backward pass."""
        self.recompute = True

    def forward(self, frames: Tensor, take: Take) -> None:
        """Frames (B, T, 3, H, W), uint8 or normalised, to the maps of B·T frames; windows of 8 frames see each other.

        What `take` does not keep is not there for longer than the next map needs it.
        """
        rows, columns = padded_size(frames.shape[3:])
        with gradient_if_asked(self, frames):
            x = self._by_frame(self._embed, frames, (rows // 4, columns // 4))  # (B, T, h, w, C)
        for blocks, merging in zip_longest(self.features[::2], self.features[1::2]):
            with gradient_if_asked(self, x):
                x = self._see(blocks, x)
            take(x.flatten(0, 1).permute(0, 3, 1, 2))
            if merging is not None:
                with gradient_if_asked(self, x):
                    x = self._by_frame(merging, x, (x.shape[2], x.shape[3]))

    def stream(self, images: Sequence[Tensor], take: TakeFrames) -> Iterator[int]:
        """`forward` of one clip without a gradient, of which never more is there than waits for its neighbours in time.

        Args:
            images: T frames (3, H, W), uint8 or normalised.
            take: gets each stage's number and maps, (t, C, h, w), of some frames after others.

        Yields:
            of how many more frames all stages have been taken.
        """
        rows, columns = padded_size(images[0].shape[1:])
        at_once = frames_at_once([(rows // 4, columns // 4)], 1, len(images), images[0].device)
        parts: Iterator[Tensor] = (
            self._embed(torch.stack(list(images[start : start + at_once]))) for start in range(0, len(images), at_once)
        )
        for index, (blocks, merging) in enumerate(zip_longest(self.features[::2], self.features[1::2])):
            for block in blocks.children():
                assert isinstance(block, WindowBlock)
                parts = block.stream(parts, len(images))
            parts = _taken(parts, partial(take, index))
            if merging is not None:
                parts = map(partial(self._merge, merging), parts)
        yield from map(len, parts)

    def _merge(self, merging: nn.Module, x: Tensor) -> Tensor:
        """Cells of frames (t, h, w, C), two by two."""
        return self._by_frame(merging, x[None], (x.shape[1], x.shape[2]))[0]

    def _embed(self, images: Tensor) -> Tensor:
        """Patches of images (n, 3, H, W): (n, h, w, C)."""
        patches: Tensor = self.patch_embed(network_input(images)[:, :, None])
        return patches[:, 0]

    def _see(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """The blocks of a stage, (B, T, h, w, C) to the same."""
        if not (self.recompute and self.training):
            seen: Tensor = blocks(x)
            return seen
        for block in blocks.children():
            x = checkpoint(block, x, use_reentrant=False)
        return x

    @staticmethod
    def _by_frame(work: Callable[[Tensor], Tensor], x: Tensor, cells: tuple[int, int]) -> Tensor:
        """What sees one frame at a time, on a few of them where no gradient is asked for; (B, T, ...) to the same.

        `cells` are rows and columns of what a frame becomes at the finest.
        """
        images = x.flatten(0, 1)
        at_once = frames_at_once([cells], 1, images.shape[0], x.device)
        return by_parts(lambda part: [work(part)], at_once, images)[0].unflatten(0, x.shape[:2])


def _taken(parts: Iterator[Tensor], take: Take) -> Iterator[Tensor]:
    """The same parts (t, h, w, C), each taken as maps (t, C, h, w) before it goes on."""
    for part in parts:
        take(part.permute(0, 3, 1, 2))
        yield part


class ImageEncoder(nn.Module):
    """Any timm model with features at strides 4, 8, 16 and 32, applied to each frame by itself.

    With `classify`, the model's own ImageNet classifier is applied to every cell of the last feature map
    (EfficientNets: `conv_head`, norm and activation, then the classifier as a 1x1 convolution). With `fold_norms`,
    batch norms are part of the convolutions before them, which halves the time on a CPU.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, name: str, classify: bool = False, fold_norms: bool = False) -> None:
        super().__init__()
        self.name = name
        if not timm.is_model(name):
            raise ModelError(f"no visual encoder is called {name!r}: see timm.list_models()")
        whole: Any = timm.create_model(name)
        chosen = [
            (index, info["num_chs"])
            for index, info in enumerate(whole.feature_info)
            if info["reduction"] in (4, 8, 16, 32)
        ]
        if [whole.feature_info[index]["reduction"] for index, _ in chosen] != [4, 8, 16, 32]:
            raise ModelError(f"{name} has no feature maps at strides 4, 8, 16 and 32")
        if classify and not (hasattr(whole, "conv_head") and isinstance(whole.classifier, nn.Linear)):
            raise ModelError(f"class_evidence needs an EfficientNet with its classifier, not {name}")
        # Windowed transformers fix their input size unless told not to.
        dynamic: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
        self.features: nn.Module = timm.create_model(
            name, features_only=True, out_indices=[index for index, _ in chosen], **dynamic
        )
        self.channels = [channels for _, channels in chosen]
        self.classifier = (
            nn.ModuleDict({"conv_head": whole.conv_head, "bn2": whole.bn2, "classifier": whole.classifier})
            if classify
            else None
        )
        if fold_norms:
            fold_batch_norms(self.eval())
            speed_up_convolutions(self)
        # Some encoders were trained with others than the network's input is normalised with.
        mean, deviation = (torch.tensor(whole.default_cfg[key]) for key in ("mean", "std"))
        scale, shift = torch.tensor(PIXEL_DEVIATION) / deviation, (torch.tensor(PIXEL_MEAN) - mean) / deviation
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)

    def recompute_activations(self) -> None:
        """Keep only what enters each stage, and compute the rest again in the backward pass."""
        self.features.set_grad_checkpointing()  # type: ignore[operator]

    def load_classifier(self, weights: list[Tensor]) -> None:
        """Load a whole timm classifier from its tensors in the order of its own state dict."""
        whole = timm.create_model(self.name)
        named = dict(zip(whole.state_dict(), weights, strict=True))
        loaded = ImageEncoder(self.name, classify=self.classifier is not None)
        for module in (loaded.features, loaded.classifier):
            if module is not None:
                module.load_state_dict({key: named[key] for key in module.state_dict()})
        if not any(isinstance(module, nn.BatchNorm2d) for module in self.modules()):
            fold_batch_norms(loaded.eval())
        self.load_state_dict(loaded.state_dict())

    def forward(self, frames: Tensor, take: Take) -> Tensor | None:
        """Frames (B, T, 3, H, W), uint8 or normalised, to the maps of B·T frames, outside of training in float32.

        Of a network in bfloat16, most of what changes in its masks changed in such an encoder, whose convolutions hold
        their norms, and which is hardly faster for it.
        """
        precise = torch.autocast(
            frames.device.type, enabled=self.training and torch.is_autocast_enabled(frames.device.type)
        )
        with precise, gradient_if_asked(self, frames):
            maps = self._encode(frames)
        for x in maps[:4]:
            take(x)
        return None if self.classifier is None else maps[4]

    def stream(self, images: Sequence[Tensor], take: TakeFrames) -> Iterator[int]:
        """`forward` of one clip, a few frames after others; see `VideoSwin.stream`."""
        at_once = self._frames_at_once(images[0].shape[1:], len(images), images[0].device)
        for start in range(0, len(images), at_once):
            some = torch.stack(list(images[start : start + at_once]))
            maps: list[Tensor] = []
            self(some[None], maps.append)
            for index, x in enumerate(maps):
                take(index, x)
            yield len(some)

    def _frames_at_once(self, size: Sequence[int], frames: int, device: torch.device) -> int:
        h, w = padded_size(size)
        return frames_at_once([(h // stride, w // stride) for stride in (4, 8, 16, 32)], 1, frames, device)

    def _encode(self, frames: Tensor) -> list[Tensor]:
        """A few frames at a time where no gradient is asked for."""
        images = frames.flatten(0, 1)
        at_once = self._frames_at_once(images.shape[2:], len(images), images.device)
        return by_parts(self._encode_images, at_once, images)

    def _encode_images(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, H, W) to their stages and, where there is a classifier, its posterior."""
        pixels = network_input(images) * self.scale + self.shift
        maps = list(self.features(pixels.contiguous(memory_format=torch.channels_last)))
        if maps[0].shape[1] != self.channels[0]:  # timm's windowed transformers give channels last
            maps = [x.permute(0, 3, 1, 2).contiguous() for x in maps]
        if self.classifier is None:
            return maps
        cells = self.classifier["bn2"](self.classifier["conv_head"](maps[-1]))
        logits = self.classifier["classifier"](cells.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return [*maps, logits.softmax(1)]


def build_visual_encoder(config: SgMgConfig) -> VideoSwin | ImageEncoder:
    """The visual encoder a configuration names, with random weights and its `channels` at four strides."""
    if config.visual_encoder not in VIDEO_SWIN:
        return ImageEncoder(config.visual_encoder, config.class_evidence, config.fold_norms)
    if config.class_evidence or config.fold_norms:
        raise ModelError(f"class_evidence and fold_norms are for image encoders, not {config.visual_encoder}")
    return VideoSwin(config.visual_encoder)


def fold_batch_norms(module: nn.Module) -> None:
    """Put every batch norm that follows a convolution into it, in place, leaving the norm's activation."""
    children = list(module.named_children())
    for (name, convolution), (following, norm) in pairwise(children):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, following, getattr(norm, "act", nn.Identity()))
    for child in module.children():
        fold_batch_norms(child)
