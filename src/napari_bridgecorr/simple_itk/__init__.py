"""SimpleITK: the files that it reads and writes, and its registration engine.

Only :mod:`.library` imports it. In files its world is LPS in mm (:mod:`~.geometry.anatomical`
converts). Where images are registered in memory, nothing is mirrored, and callers give and get um.
"""

from .files import (
    ItkStep,
    read_dicom_array,
    serve_dicom_arrays,
    write_transforms,
    write_vector_image,
)
from .images import EngineImage
from .library import fault_of, library
from .options import EngineOptions
from .registration import EngineStep, metric_value, register

__all__ = [
    "EngineImage",
    "EngineOptions",
    "EngineStep",
    "ItkStep",
    "fault_of",
    "library",
    "metric_value",
    "read_dicom_array",
    "register",
    "serve_dicom_arrays",
    "write_transforms",
    "write_vector_image",
]
