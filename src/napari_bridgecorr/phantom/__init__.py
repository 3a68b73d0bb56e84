"""Synthetic samples with known truth: for teaching, for the demo and for tests."""

from .deformation import SmoothDeformation
from .mri import MriContrast
from .options import PhantomOptions
from .sample import Phantom, make_phantom
from .two_photon import TwoPhotonDetector

__all__ = [
    "MriContrast",
    "Phantom",
    "PhantomOptions",
    "SmoothDeformation",
    "TwoPhotonDetector",
    "make_phantom",
]
