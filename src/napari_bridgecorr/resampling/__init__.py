"""Image + transform + grid -> image, block by block."""

from .labels import LABEL_INTERPOLATIONS, LabelSampler
from .overlap import OverlapMean
from .resample import resample
from .reslice import group_slices, reslice, reslice_slabs
from .sampler import INTERPOLATIONS, TOLERANCE_VOXELS, Block, PullSampler

__all__ = [
    "INTERPOLATIONS",
    "LABEL_INTERPOLATIONS",
    "TOLERANCE_VOXELS",
    "Block",
    "LabelSampler",
    "OverlapMean",
    "PullSampler",
    "group_slices",
    "resample",
    "reslice",
    "reslice_slabs",
]
