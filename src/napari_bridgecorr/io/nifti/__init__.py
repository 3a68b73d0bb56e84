"""NIfTI-1, NIfTI-2 and Analyze. Only `library` imports nibabel."""

from .reader import NiftiReader
from .write import write_nifti

__all__ = ["NiftiReader", "write_nifti"]
