"""Spectrum-guided cross-modal fusion (SCF): words multiply visual features between two spectral filters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.text import TextFeatures


def gaussian(h: int, w: int, sigma: float, device: torch.device) -> Tensor:
    """A Gaussian bump of height 1 centred at (h // 2, w // 2): (1, 1, h, w)."""
    y = torch.arange(h, device=device, dtype=torch.float32) - h // 2
    x = torch.arange(w, device=device, dtype=torch.float32) - w // 2
    return torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))[None, None]


def gaussian_chain(sizes: list[tuple[int, int]], sigma: float, device: torch.device) -> list[Tensor]:
    """The Gaussian of each level: built for the first, resized from level to level after it.

    The published checkpoints were trained with this chain, so it is kept.
    """
    bumps = [gaussian(*sizes[0], sigma, device)]
    for size in sizes[1:]:
        bumps.append(F.interpolate(bumps[-1], size, mode="bilinear", align_corners=False))
    return bumps


class SpectralFilter(nn.Module):
    """Filter features in the frequency domain, where one cell sees the whole map. Always in float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attenuation_conv = nn.Conv2d(channels, channels, 3)
        self.attenuation = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(),
            nn.Linear(channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.conv1 = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 1)

    def forward(self, x: Tensor, bump: Tensor) -> Tensor:
        """Features (n, d, h, w) and the level's Gaussian (1, 1, h, w) to features of the same shape."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            amount = self.attenuation(self.attenuation_conv(x).mean((2, 3)))  # (n, 1)
            spectrum = torch.fft.fft2(x) * (1 - amount[..., None, None] * bump)
            parts = torch.cat((spectrum.real, spectrum.imag), 1)  # (n, 2d, h, w)
            real, imaginary = self.conv2(F.relu(self.conv1(parts))).chunk(2, 1)
            return x + torch.fft.ifft2(torch.complex(real, imaginary)).real


class WordAttention(nn.Module):
    """Every pixel of a clip reads the words; what it reads multiplies its features."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(config.hidden_size, config.heads, batch_first=True)
        self.residual = config.fusion == "residual"

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """Features (B·T, d, h, w) and the text of B expressions to features of the same shape."""
        clips = len(text.words)
        pixels = x.flatten(2).transpose(1, 2)  # (B·T, h·w, d)
        query = pixels.reshape(clips, -1, pixels.shape[-1])  # (B, T·h·w, d)
        read, _ = self.attention(query, text.keys, text.words, key_padding_mask=text.key_mask, need_weights=False)
        fused = query * read + query if self.residual else query * read
        return fused.reshape(pixels.shape).transpose(1, 2).reshape(x.shape)


class Fusion(nn.Module):
    """SCF of all levels. What does not depend on the words is `project`, the rest `forward`."""

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        d = config.hidden_size
        self.strides, self.sigma = config.strides, config.spectral_sigma
        self.projections = nn.ModuleList()
        for stride in self.strides:
            last = stride == 64  # one level more than the encoder has stages
            channels = stage_channels[self.stage(stride)]
            projection = nn.Conv2d(channels, d, 3, stride=2, padding=1) if last else nn.Conv2d(channels, d, 1)
            nn.init.xavier_uniform_(projection.weight)
            self.projections.append(nn.Sequential(projection, nn.GroupNorm(32, d)))
        self.filters_before = nn.ModuleList(SpectralFilter(d) for _ in self.strides)
        self.word_attention = WordAttention(config)
        self.filters_after = nn.ModuleList(SpectralFilter(d) for _ in self.strides)

    @staticmethod
    def stage(stride: int) -> int:
        """Index of the visual encoder's stage that a level is projected from: strides 4, 8, 16, 32, and 64 from 32."""
        return min(stride, 32).bit_length() - 3

    def sizes(self, stages: list[Tensor]) -> list[tuple[int, int]]:
        """Height and width of each level, from the four stages."""
        sizes = [(stages[self.stage(s)].shape[2], stages[self.stage(s)].shape[3]) for s in self.strides]
        return [
            ((h + 1) // 2, (w + 1) // 2) if s == 64 else (h, w) for s, (h, w) in zip(self.strides, sizes, strict=True)
        ]

    def bumps(self, levels: list[Tensor]) -> list[Tensor]:
        """The Gaussian of each level."""
        return gaussian_chain([(x.shape[2], x.shape[3]) for x in levels], self.sigma, levels[0].device)

    def project(self, stages: list[Tensor], hints: list[list[Tensor]]) -> list[Tensor]:
        """Four stages (n, C, h, w) to levels (n, d, h, w), filtered once; hints, one a level each, are added before."""
        levels = [
            projection(stages[self.stage(stride)])
            for stride, projection in zip(self.strides, self.projections, strict=True)
        ]
        levels = [sum(parts[1:], start=parts[0]) for parts in zip(levels, *hints, strict=True)]
        return [
            spectral(x, bump) for spectral, x, bump in zip(self.filters_before, levels, self.bumps(levels), strict=True)
        ]

    def forward(self, levels: list[Tensor], text: TextFeatures, agreement: list[Tensor | None]) -> list[Tensor]:
        """Fuse the words of B expressions into the levels.

        Args:
            levels: (B·T, d, h, w) each, from `project`.
            text: of the B expressions.
            agreement: what is added to each level after the words, or None.

        Returns:
            Levels of the same shapes.
        """
        read = [self.word_attention(x, text) for x in levels]
        read = [x if extra is None else x + extra for x, extra in zip(read, agreement, strict=True)]
        return [
            spectral(x, bump) for spectral, x, bump in zip(self.filters_after, read, self.bumps(levels), strict=True)
        ]
