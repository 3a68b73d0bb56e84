"""What phantom to make: every choice in one frozen value, with two presets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import GeometryError
from .mri import MriContrast
from .two_photon import TwoPhotonDetector

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PhantomOptions:
    """What sample to make and how to image it.

    Parameters
    ----------
    seed : int
        Same seed, same phantom, whatever the number of threads.
    two_photon_shape : (int, int, int)
        Voxels of the stack (z, y, x).
    two_photon_spacing_um : (float, float, float)
        Their spacing (z, y, x).
    mri_shape : (int, int, int)
        Voxels of the MRI along its own axes.
    mri_spacing_um : float or (float, float, float)
        Their spacing along the MRI's own axes.
    mri_rotation_deg : (float, float, float)
        Tilt of the MRI's axes against the stack's, about the stack's z, y and x in this order.
    deformation_um : float
        Root mean square length, over the MRI, of the displacement that no affine map takes up.
    n_landmarks : int
        Bifurcations marked in both images.
    landmark_min_radius_um : float
        Radius that a vessel must have to be marked.
    two_photon_localisation_um, mri_localisation_um : float
        Standard deviation **per axis** of the marks' Gaussian errors in either image; the root mean
        square distance from the true place is sqrt(3) times as long.
    n_targets : int
        Points with exact places in both images, to judge a registration by.
    tumour_radius_um : float
        Radius of the tumour's core.
    trunk_radius_um, finest_vessel_um : float
        Radius of the largest pial vessels and of the finest vessels.
    detector : TwoPhotonDetector
    contrast : MriContrast

    Raises
    ------
    GeometryError
        If a value cannot be.
    """

    seed: int = 0
    two_photon_shape: Shape = (120, 300, 300)
    two_photon_spacing_um: Triple = (10.0, 8.0, 8.0)
    mri_shape: Shape = (24, 48, 48)
    mri_spacing_um: float | Triple = 50.0
    mri_rotation_deg: Triple = (5.0, -3.0, 4.0)
    deformation_um: float = 40.0
    n_landmarks: int = 30
    landmark_min_radius_um: float = 15.0
    two_photon_localisation_um: float = 3.0
    mri_localisation_um: float = 15.0
    n_targets: int = 2000
    tumour_radius_um: float = 320.0
    trunk_radius_um: float = 40.0
    finest_vessel_um: float = 4.0
    detector: TwoPhotonDetector = field(default_factory=TwoPhotonDetector)
    contrast: MriContrast = field(default_factory=MriContrast)

    def __post_init__(self) -> None:
        for name in ("two_photon_shape", "mri_shape"):
            shape = getattr(self, name)
            if len(shape) != 3 or min(shape) < 4:
                raise GeometryError(f"{name} must be three sizes of 4 or more, not {shape}")
        spacing = np.broadcast_to(np.asarray(self.mri_spacing_um, dtype=np.float64), (3,))
        z, y, x = (float(v) for v in spacing)
        object.__setattr__(self, "mri_spacing_um", (z, y, x))
        for name in ("two_photon_spacing_um", "mri_spacing_um"):
            values = getattr(self, name)
            if len(values) != 3 or not np.all(np.isfinite(values)) or min(values) <= 0:
                raise GeometryError(f"{name} must be three positive lengths in um, not {values}")
        for name in (
            "deformation_um",
            "two_photon_localisation_um",
            "mri_localisation_um",
            "landmark_min_radius_um",
        ):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise GeometryError(f"{name} must be 0 or more um, not {value}")
        for name in ("tumour_radius_um", "trunk_radius_um", "finest_vessel_um"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise GeometryError(f"{name} must be a positive length in um, not {value}")
        if self.finest_vessel_um >= self.trunk_radius_um:
            raise GeometryError("the finest vessel must be thinner than the trunks")
        if min(self.n_landmarks, self.n_targets, self.seed) < 0:
            raise GeometryError(
                "the numbers of landmarks and targets and the seed cannot be below 0"
            )

    @classmethod
    def demo(cls, seed: int = 0) -> PhantomOptions:
        """A cranial window of 1.2 x 2.4 x 2.4 mm, as in the published workflow."""
        return cls(seed=seed)

    @classmethod
    def sample(cls, seed: int = 0) -> PhantomOptions:
        """A small one to ship: under 3 MB uncompressed."""
        return cls(
            seed=seed,
            two_photon_shape=(50, 116, 116),
            two_photon_spacing_um=(12.0, 10.0, 10.0),
            mri_shape=(12, 23, 23),
            deformation_um=20.0,
            n_landmarks=16,
            tumour_radius_um=170.0,
            trunk_radius_um=34.0,
        )
