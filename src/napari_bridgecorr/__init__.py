"""napari-bridgecorr: correlative registration of one sample imaged with two instruments.

The names below are the Python interface (docs/python.md). Each is loaded when it is first used, so
that importing the package takes no time; what they need stays out of memory until then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import BridgecorrError as BridgecorrError
    from .evaluate import inter_rater as inter_rater
    from .evaluate import target_error as target_error
    from .fitting import FitOptions as FitOptions
    from .fitting import error_model as error_model
    from .fitting import fit as fit
    from .fitting import k_fold as k_fold
    from .fitting import leave_one_out as leave_one_out
    from .fitting.sections import SectionFitOptions as SectionFitOptions
    from .fitting.sections import fit_section as fit_section
    from .geometry import Grid as Grid
    from .geometry import Plane as Plane
    from .image import SpatialImage as SpatialImage
    from .io.landmark_files import read_landmarks as read_landmarks
    from .io.landmark_files import write_landmarks as write_landmarks
    from .io.plane_file import read_plane as read_plane
    from .io.plane_file import write_plane as write_plane
    from .io.registry import open_image as open_image
    from .io.registry import open_images as open_images
    from .io.transform_files import read_transform as read_transform
    from .io.transform_files import write_fit as write_fit
    from .io.transform_files import write_transform as write_transform
    from .io.writers import write_image as write_image
    from .landmarks import Landmark as Landmark
    from .landmarks import LandmarkPairs as LandmarkPairs
    from .landmarks import LandmarkSet as LandmarkSet
    from .resampling import group_slices as group_slices
    from .resampling import resample as resample
    from .resampling import reslice as reslice
    from .resampling import reslice_slabs as reslice_slabs
    from .surface import DetectOptions as DetectOptions
    from .surface import detect_plane as detect_plane
    from .transform import Affine as Affine
    from .transform import Chain as Chain
    from .transform import DisplacementField as DisplacementField
    from .transform import ThinPlateSpline as ThinPlateSpline
    from .transform import TransformGraph as TransformGraph
    from .workflow.replay import new_session as new_session
    from .workflow.replay import run_session as run_session
    from .workflow.tables import tabulate as tabulate

# where each lives; the names that type checkers see are above, and a test compares the two
_HOMES = {
    "errors": ("BridgecorrError",),
    "evaluate": ("inter_rater", "target_error"),
    "fitting": ("FitOptions", "error_model", "fit", "k_fold", "leave_one_out"),
    "fitting.sections": ("SectionFitOptions", "fit_section"),
    "geometry": ("Grid", "Plane"),
    "image": ("SpatialImage",),
    "io.landmark_files": ("read_landmarks", "write_landmarks"),
    "io.plane_file": ("read_plane", "write_plane"),
    "io.registry": ("open_image", "open_images"),
    "io.transform_files": ("read_transform", "write_fit", "write_transform"),
    "io.writers": ("write_image",),
    "landmarks": ("Landmark", "LandmarkPairs", "LandmarkSet"),
    "resampling": ("group_slices", "resample", "reslice", "reslice_slabs"),
    "surface": ("DetectOptions", "detect_plane"),
    "transform": ("Affine", "Chain", "DisplacementField", "ThinPlateSpline", "TransformGraph"),
    "workflow.replay": ("new_session", "run_session"),
    "workflow.tables": ("tabulate",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
