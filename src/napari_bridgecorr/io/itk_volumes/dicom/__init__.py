"""DICOM series and multi-frame files."""

from .reader import DicomReader

__all__ = ["DicomReader"]
