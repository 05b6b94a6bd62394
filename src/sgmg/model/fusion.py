"""Spectrum-guided cross-modal fusion (SCF): words multiply visual features between two spectral filters.

The paper's Table A compares the spectral filters with two other operations in their place, spatial convolutions and
linear layers, and counts 2.4, 4.7 and 2.4 million parameters without saying which. What gives these numbers at d = 256,
and is what `counted_parameters` counts, are four operators (one for each level; the network has a second four after the
words) without the 3x3 convolution inside a spectral filter's gate:

- spectral: two 1x1 convolutions 2d→2d on the stacked real and imaginary parts, and the gate's two linear layers:
  4 · 591 104 = 2.36 million (2.10 without the gate, 4.72 with its convolution too);
- spatial: two 3x3 convolutions d→d: 4 · 1 180 160 = 4.72 million;
- linear: two linear layers d→4.5d→d, just more than the spectral ones: 4 · 591 232 = 2.36 million.

Spatial and linear operators see no spectrum and so have no gate. All three add to what they are given.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.attention import MultiheadAttention
from sgmg.model.config import SgMgConfig
from sgmg.model.half_spectrum import add_map_of, half_spectrum, halves
from sgmg.model.onednn import linear
from sgmg.model.portable import fourier, inverse_fourier, is_portable
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


def count_parameters(module: nn.Module) -> int:
    """How many weights a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


class LevelFilter(nn.Module):
    """What filters a level before or after the words."""

    def counted_parameters(self) -> int:
        """Parameters as the paper's Table A counts them."""
        return count_parameters(self)


class SpectralFilter(LevelFilter):
    """Filter features in the frequency domain, where one cell sees the whole map.

    In float32, but for the convolutions where lower precision is asked for: a frequency's error is then small against
    that frequency.
    """

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

    def amount(self, x: Tensor) -> Tensor:
        """How much of the Gaussian is taken away from the spectrum of features (n, d, h, w): (n, 1) in [0, 1]."""
        if torch.is_grad_enabled():
            return self.attenuation(self.attenuation_conv(x).mean((2, 3)))
        rows, columns = (_means_of_neighbours(side, x.device) for side in x.shape[2:])
        return self._amount_of(rows @ x @ columns.T)

    def _amount_of(self, seen: Tensor) -> Tensor:
        """`amount` from the means (n, d, 3, 3) of what each weight of the convolution sees.

        Of the convolution only the mean is asked for, and that is its product with these.
        """
        weight, bias = self.attenuation_conv.weight, self.attenuation_conv.bias
        return self.attenuation(F.linear(seen.flatten(1), weight.flatten(1), bias))

    def counted_parameters(self) -> int:
        """As the paper counts: without the gate's 3x3 convolution."""
        return count_parameters(self) - count_parameters(self.attenuation_conv)

    def forward(self, x: Tensor, bump: Tensor) -> Tensor:
        """Features (n, d, h, w) and the level's Gaussian (1, 1, h, w) to features of the same shape."""
        if not (torch.is_grad_enabled() or is_portable() or x.device.type != "cpu"):
            return self._by_halves(x.permute(0, 2, 3, 1).contiguous(), bump[0]).permute(0, 3, 1, 2)
        with torch.autocast(x.device.type, enabled=False):
            whole = x.float()
            kept = 1 - self.amount(whole)[..., None, None] * bump
            parts = torch.cat([part * kept for part in fourier(whole)], 1)  # (n, 2d, h, w)
        with self._precision(x):
            parts = self.conv2(F.relu(self.conv1(parts), inplace=not torch.is_grad_enabled())).float()
        with torch.autocast(x.device.type, enabled=False):
            return (whole + inverse_fourier(*parts.chunk(2, 1))).to(x.dtype)

    def _precision(self, x: Tensor) -> torch.autocast:
        """Of the convolutions. In training it is float32: gradients of the spectrum have a range of their own."""
        kind = x.device.type
        return torch.autocast(kind, enabled=not self.training and torch.is_autocast_enabled(kind))

    def _by_halves(self, x: Tensor, bump: Tensor) -> Tensor:
        """`forward` for (n, h, w, d) and (1, h, w), from half of the spectrum.

        Opposite frequencies have the same real part and the other sign of the imaginary part: the first convolution is
        a product with each part, of which the one frequency takes the sum, the other the difference. The second is
        linear, and of its result only what is conjugate to its opposite counts.
        """
        n, h, w, d = x.shape
        with torch.autocast("cpu", enabled=False):
            whole = x.float()
            rows, columns = (_means_of_neighbours(side, x.device) for side in (h, w))
            seen = columns @ (rows @ whole.view(n, h, w * d)).view(n, 3, w, d)  # (n, 3, 3, d)
            kept = 1 - self._amount_of(seen.permute(0, 3, 1, 2))[..., None] * bump  # (n, h, w)
            real, imaginary = half_spectrum(whole)  # (n, h // 2 + 1, w, d)
        with self._precision(x):
            of_real, of_imaginary = self.conv1.weight[..., 0, 0].chunk(2, 1)
            even, odd = linear(real, of_real), linear(imaginary, of_imaginary)  # (n, h // 2 + 1, w, 2d)
            assert self.conv1.bias is not None
            assert self.conv2.bias is not None
            bias = self.conv1.bias.to(even.dtype)
            kept, opposite_kept = (share[..., None] for share in halves(kept.to(even.dtype)))
            hidden = torch.addcmul(bias, even + odd, kept).relu_()
            opposite = torch.addcmul(bias, even.sub_(odd), opposite_kept).relu_()
            to_real, to_imaginary = (self.conv2.weight[..., 0, 0] / 2).chunk(2)
            real = linear(hidden + opposite, to_real, self.conv2.bias[:d]).float()
            imaginary = linear(hidden.sub_(opposite), to_imaginary).float()
        with torch.autocast("cpu", enabled=False):
            return add_map_of(real, imaginary, whole).to(x.dtype)


def _means_of_neighbours(size: int, device: torch.device) -> Tensor:
    """What averages the cells that each weight of a kernel of 3 sees along a side without padding: (3, size)."""
    cell, weight = torch.arange(size, device=device), torch.arange(3, device=device)[:, None]
    return ((cell >= weight) & (cell < size - 2 + weight)).float() / (size - 2)


class ConvolutionFilter(LevelFilter):
    """Two convolutions in the place of a spectral filter. They see no spectrum for the Gaussian to attenuate."""

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(hidden, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, bump: Tensor) -> Tensor:
        """Features (n, d, h, w) to features of the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


class SpatialFilter(ConvolutionFilter):
    """Two 3x3 convolutions: each sees the cells around its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel=3)


class LinearFilter(ConvolutionFilter):
    """Two linear layers, just larger than a spectral filter: each cell sees itself alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 9 * channels // 2, kernel=1)


FILTERS: dict[str, type[SpectralFilter | SpatialFilter | LinearFilter]] = {
    "spectral": SpectralFilter,
    "spatial": SpatialFilter,
    "linear": LinearFilter,
}


class WordAttention(nn.Module):
    """Every pixel of a clip reads the words; what it reads multiplies its features."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.attention = MultiheadAttention(config.hidden_size, config.heads)
        self.residual = config.fusion == "residual"

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """Features (B·T, d, h, w) and the text of B expressions to features of the same shape."""
        query = self._pixels(x, text)
        read = self.attention(query, text.keys, text.words, text.key_mask).to(x.dtype)
        fused = query * read + query if self.residual else query * read
        return fused.reshape(x.shape[0], -1, x.shape[1]).transpose(1, 2).reshape(x.shape)

    def weights(self, x: Tensor, text: TextFeatures) -> Tensor:
        """How much each pixel of features (B·T, d, h, w) reads each of L words, a mean over heads: (B·T, L, h, w)."""
        weights = self.attention.weights(self._pixels(x, text), text.keys, text.key_mask)
        return weights.reshape(x.shape[0], -1, weights.shape[-1]).transpose(1, 2).unflatten(2, x.shape[2:])

    @staticmethod
    def _pixels(x: Tensor, text: TextFeatures) -> Tensor:
        """(B·T, d, h, w) to (B, T·h·w, d)."""
        return x.flatten(2).transpose(1, 2).reshape(len(text.words), -1, x.shape[1])


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
        operation = FILTERS[config.fusion_operation]
        self.filters_before = nn.ModuleList(operation(d) for _ in self.strides)
        self.word_attention = WordAttention(config)
        self.filters_after = nn.ModuleList(operation(d) for _ in self.strides)

    @staticmethod
    def stage(stride: int) -> int:
        """Index of the visual encoder's stage that a level is projected from: strides 4, 8, 16, 32, and 64 from 32."""
        return min(stride, 32).bit_length() - 3

    def levels_of(self, stage: int) -> list[int]:
        """Indices of the levels that are projected from a stage of the visual encoder."""
        return [index for index, stride in enumerate(self.strides) if self.stage(stride) == stage]

    def size(self, level: int, stage: Tensor) -> tuple[int, int]:
        """Height and width of a level, from its stage (n, C, h, w)."""
        h, w = stage.shape[2], stage.shape[3]
        return ((h + 1) // 2, (w + 1) // 2) if self.strides[level] == 64 else (h, w)

    def sizes(self, stages: list[Tensor]) -> list[tuple[int, int]]:
        """Height and width of each level, from the four stages."""
        return [self.size(level, stages[self.stage(stride)]) for level, stride in enumerate(self.strides)]

    def counted_parameters(self) -> int:
        """Parameters of one operator a level, as the paper's Table A counts them; see the top of this module."""
        return sum(module.counted_parameters() for module in self.filters_before if isinstance(module, LevelFilter))

    def bumps(self, sizes: list[tuple[int, int]], device: torch.device) -> list[Tensor]:
        """The Gaussian of each level, or of the first ones, from their sizes."""
        return gaussian_chain(sizes, self.sigma, device)

    def project(self, level: int, bump: Tensor, stage: Tensor, hint: Tensor | None = None) -> Tensor:
        """A level (n, d, h, w), filtered once.

        Args:
            level: its index.
            bump: its Gaussian.
            stage: (n, C, h, w), that of the visual encoder it is projected from.
            hint: (n, d, h, w), added before the filter.
        """
        x = self.projections[level](stage)
        filtered: Tensor = self.filters_before[level](x if hint is None else x + hint, bump)
        return filtered

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
        bumps = self.bumps([(x.shape[2], x.shape[3]) for x in levels], levels[0].device)
        return [operator(x, bump) for operator, x, bump in zip(self.filters_after, read, bumps, strict=True)]
