"""NRRD, MetaImage and DICOM: the volumes of ITK, 3D Slicer and scanners."""

from .dicom import DicomReader
from .reader import MetaImageReader, NrrdReader

__all__ = ["DicomReader", "MetaImageReader", "NrrdReader"]
