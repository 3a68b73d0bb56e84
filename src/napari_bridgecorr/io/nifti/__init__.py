"""NIfTI-1, NIfTI-2 and Analyze. Only `reader` imports nibabel."""

from .reader import NiftiReader, write_nifti

__all__ = ["NiftiReader", "write_nifti"]
