"""NRRD, MetaImage and DICOM: the volumes of ITK, 3D Slicer and scanners."""

from .reader import MetaImageReader, NrrdReader

__all__ = ["MetaImageReader", "NrrdReader"]
