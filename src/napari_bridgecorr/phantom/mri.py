"""What an MRI records of the tissue: the mean over each voxel, and Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MriContrast:
    """A T2-weighted contrast: dark vessels, bright tumour, nothing outside the brain.

    Parameters
    ----------
    brain, vessels, tumour : float
        Signal of a voxel that each fills (arbitrary units).
    snr : float
        Signal of brain over the standard deviation of the noise in either quadrature channel.
    """

    brain: float = 1000.0
    vessels: float = 80.0
    tumour: float = 1750.0
    snr: float = 30.0

    def __post_init__(self) -> None:
        for name in ("brain", "vessels", "tumour"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise GeometryError(f"the MRI signal of {name} must be 0 or more, not {value}")
        if not self.snr > 0:
            raise GeometryError(f"the signal-to-noise ratio must be positive, not {self.snr}")

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in either quadrature channel; 0 if `snr` is infinite."""
        return self.brain / self.snr

    def signal(
        self, brain: Float32Array, vessels: Float32Array, tumour: Float32Array
    ) -> FloatArray:
        """Noise-free signal: the mean over each voxel's volume.

        Parameters
        ----------
        brain, vessels, tumour : float32 arrays of one shape
            Fractions of the voxels' volume; `brain` includes the other two.
        """
        plain = np.maximum(brain.astype(np.float64) - vessels - tumour, 0.0)
        total = self.brain * plain + self.vessels * vessels + self.tumour * tumour
        return np.asarray(total, dtype=np.float64)

    def magnitude(self, signal: FloatArray, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Magnitude image: the length of the signal plus complex Gaussian noise, as 16 bits.

        The noise of a magnitude image is Rician (Gudbjartsson & Patz 1995): where there is no
        signal its mean is ``sigma * sqrt(pi / 2)``, not 0.
        """
        real = signal + self.sigma * rng.standard_normal(signal.shape)
        imaginary = self.sigma * rng.standard_normal(signal.shape)
        length = np.rint(np.hypot(real, imaginary))
        return np.minimum(length, np.iinfo(np.uint16).max).astype(np.uint16)
