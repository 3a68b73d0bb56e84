"""TIFF, OME-TIFF, ImageJ hyperstacks and folders of planes. Only `library` imports tifffile."""

from .reader import TiffReader
from .write import write_ome_tiff

__all__ = ["TiffReader", "write_ome_tiff"]
