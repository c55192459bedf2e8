"""Noise in fields: what can be known of them, mode by mode, without having seen the truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, ShapeError

# Modes whose variance is less than this many times that of the noise are taken for noise.
ABOVE = 3.0


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Fields without most of their noise.

    Attributes:
        fields: `(samples, cells)`. noise: standard deviation of what is left of it.
        cut: the same sharp cut of the modes that are known, for increments and terms: both sides of a regression must
            lack the same modes.
        treatment: in words.
    """

    fields: Tensor
    noise: float
    modes: int
    treatment: str

    def cut(self, fields: Tensor) -> Tensor:
        """Fields `(..., n)` without the modes that are left out."""
        spectrum = torch.fft.rfft(fields)
        spectrum[..., self.modes :] = 0
        return torch.fft.irfft(spectrum, n=fields.shape[-1])


def wiener(fields: Tensor, noise: float) -> Smoothed:
    """Wiener's filter of periodic fields with white noise: each mode is shrunk by the share of its variance that is signal.

    The variance of a mode is that over the samples, so many samples of one statistics are needed, and no truth.

    Args:
        fields: `(samples, cells)`, evenly spaced and periodic. noise: standard deviation of the errors, known beforehand.

    Raises:
        ShapeError: fields have another shape. InputError: all modes are noise, or `noise` is not positive.
    """
    if fields.dim() != 2 or len(fields) < 2:
        raise ShapeError(f"fields must have the shape (samples, cells), two samples or more, got {tuple(fields.shape)}")
    if not noise > 0:
        raise InputError(f"noise must be positive, got {noise}")
    spectrum, cells = torch.fft.rfft(fields), fields.shape[1]
    white, power = noise**2 * cells, spectrum.abs().square().mean(0)
    known = power > ABOVE * white
    if not known.any():
        raise InputError(f"no mode of the fields rises above noise of {noise:g}")
    gain = torch.where(known, 1 - white / power, 0.0)
    # Each mode but the first, and the last of an even number, stands for two.
    double = torch.full_like(gain, 2.0)
    double[0] = 1.0
    if cells % 2 == 0:
        double[-1] = 1.0
    left = noise * float((gain.square() * double).sum() / cells) ** 0.5
    modes = int(known.nonzero().max()) + 1
    said = f"Wiener's filter in space, {modes} of {len(gain)} modes known above noise of {noise:.3g}"
    return Smoothed(torch.fft.irfft(spectrum * gain, n=cells), left, modes, said)
