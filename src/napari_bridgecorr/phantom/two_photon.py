"""What a two-photon microscope records of the tissue: attenuation with depth, photons, counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..progress import Progress

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TwoPhotonDetector:
    """How light becomes numbers.

    Parameters
    ----------
    vessel_photons, tumour_photons : float
        Mean photons from a voxel that the structure fills, at depth 0.
    background_photons : float
        Mean photons from a voxel that holds neither, at any depth (autofluorescence of the path
        and stray light).
    attenuation_length_um : float
        Depth over which the signal falls by e.
    gain : float
        Counts per photon.
    pedestal : float
        Counts without light.
    """

    vessel_photons: float = 90.0
    tumour_photons: float = 60.0
    background_photons: float = 1.0
    attenuation_length_um: float = 650.0
    gain: float = 20.0
    pedestal: float = 100.0

    def __post_init__(self) -> None:
        for name in ("vessel_photons", "tumour_photons", "background_photons", "pedestal"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise GeometryError(f"{name} must be 0 or more, not {value}")
        for name in ("attenuation_length_um", "gain"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise GeometryError(f"{name} must be positive, not {value}")

    def expected_photons(
        self, vessels: Float32Array, tumour: Float32Array, depth_um: FloatArray
    ) -> FloatArray:
        """Mean photons of each channel.

        Parameters
        ----------
        vessels, tumour : (nz, ny, nx) float32
            Fractions of the voxels' volume.
        depth_um : (nz,) float64
            Depth of each plane.

        Returns
        -------
        (2, nz, ny, nx) float64
            Channels "vessels" and "tumour".
        """
        light = np.exp(-np.asarray(depth_um) / self.attenuation_length_um)[:, None, None]
        return np.stack(
            [
                self.vessel_photons * light * vessels + self.background_photons,
                self.tumour_photons * light * tumour + self.background_photons,
            ]
        )

    def counts(self, photons: FloatArray, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Recorded counts: ``gain * Poisson(photons) + pedestal``, as 16 bits hold them."""
        counts: FloatArray = np.rint(self.gain * rng.poisson(photons) + self.pedestal)
        return np.asarray(np.minimum(counts, np.iinfo(np.uint16).max), dtype=np.uint16)


def record_two_photon(
    detector: TwoPhotonDetector,
    vessels: Float32Array,
    tumour: Float32Array,
    spacing_z_um: float,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> NDArray[np.uint16]:
    """Stack (2, nz, ny, nx) of counts; each plane has its own source of chance."""
    n = len(vessels)
    out = np.empty((2, *vessels.shape), dtype=np.uint16)
    for i, child in enumerate(seed.spawn(n)):
        photons = detector.expected_photons(
            vessels[i : i + 1], tumour[i : i + 1], np.array([i * spacing_z_um])
        )
        out[:, i : i + 1] = detector.counts(photons, np.random.default_rng(child))
        progress.advance()
    return out
