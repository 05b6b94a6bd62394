"""Half of a spectrum, by products of matrices, is half of what an FFT makes, and gives the same maps back."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgmg.model.fusion import SpectralFilter
from sgmg.model.half_spectrum import add_map_of, half_spectrum, halves

SIDES = st.integers(1, 24)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_half_spectrum_is_the_upper_half_of_a_spectrum(height: int, width: int) -> None:
    x = torch.randn(2, height, width, 3)
    real, imaginary = half_spectrum(x)
    spectrum = torch.fft.fft2(x, dim=(1, 2))[:, : height // 2 + 1]
    torch.testing.assert_close(real, spectrum.real, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(imaginary, spectrum.imag, atol=1e-4, rtol=1e-4)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_the_mean_of_opposite_frequencies_gives_the_real_part_of_the_inverse(height: int, width: int) -> None:
    spectrum = torch.complex(torch.randn(2, height, width), torch.randn(2, height, width))  # of no real map
    here, opposite = halves(spectrum)
    mean = ((here + opposite.conj()) / 2)[..., None]
    x = torch.randn(2, height, width, 1)
    expected = x[..., 0] + torch.fft.ifft2(spectrum).real
    torch.testing.assert_close(add_map_of(mean.real, mean.imag, x)[..., 0], expected, atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 24), st.integers(3, 24), st.booleans())
def test_a_spectral_filter_by_halves_is_the_filter(height: int, width: int, channels_last: bool) -> None:
    spectral, x = SpectralFilter(8), torch.randn(2, 8, height, width)
    bump = torch.rand(1, 1, height, width)  # opposite frequencies keep different shares, as in resized Gaussians
    whole = spectral(x, bump)  # with a gradient, by the FFT
    x = x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    with torch.no_grad():
        by_halves = spectral(x, bump)
    torch.testing.assert_close(by_halves, whole, atol=1e-5, rtol=1e-5)
