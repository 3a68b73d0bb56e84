"""DICOM files for tests, written by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.4.1")
# turned about two axes
_A = np.radians(25)
ROW = np.array([np.cos(_A), np.sin(_A), 0.0])
COLUMN = np.array([-np.sin(_A) * 0.8, np.cos(_A) * 0.8, 0.6])
NORMAL = np.cross(ROW, COLUMN)
AXIAL = (np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))


def _words(values: Any) -> list[str]:
    # a decimal string has at most 16 characters
    return [f"{value:.10g}" for value in np.ravel(values)]


def dataset(
    pixels: np.ndarray,
    position: Any = (0, 0, 0),
    *,
    syntax: UID = ExplicitVRLittleEndian,
    axes: Any = (ROW, COLUMN),
    series: str = "1.2.3.4",
    instance: int = 1,
    **values: Any,
) -> FileDataset:
    """A plane (rows, columns) or (rows, columns, 3) of an MR series."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(instance)])
    meta.TransferSyntaxUID = syntax
    found = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    found.SOPClassUID = MRImageStorage
    found.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    found.Modality = "MR"
    found.SeriesInstanceUID = series
    found.StudyInstanceUID = "1.2.3"
    found.SeriesNumber = 7
    found.InstanceNumber = instance
    found.ImageType = ["ORIGINAL", "PRIMARY"]
    if axes is not None:
        found.ImageOrientationPatient = _words(axes)
    if position is not None:
        found.ImagePositionPatient = _words(position)
    found.PixelSpacing = ["0.2", "0.1"]
    found.SliceThickness = "0.3"
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    found.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    found.BitsAllocated, found.BitsStored, found.HighBit = bits, bits, bits - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = "<" if syntax.is_little_endian else ">"
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    found.PixelData = content + b"\0" * (len(content) % 2)
    for name, value in values.items():
        setattr(found, name, value)
    return found


def save(found: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, found, enforce_file_format=True)
    return path


def save_series(
    folder: Path,
    volume: np.ndarray,
    *,
    origin: Any = (5.0, -6.0, 7.0),
    step: float = 0.5,
    **values: Any,
) -> np.ndarray:
    """A file per slice (z first), named against the order of the slices; their positions."""
    axes = values.get("axes", (ROW, COLUMN))
    normal = np.cross(*axes)
    places = np.array([np.array(origin) + n * step * normal for n in range(len(volume))])
    for number, (plane, place) in enumerate(zip(volume, places, strict=True)):
        # neither names nor instance numbers follow the slices' places
        name = f"IM{(7 * number) % len(volume):03d}_{number}"
        save(dataset(plane, place, instance=len(volume) - number, **values), folder / name)
    return places


def multi_frame(volume: np.ndarray, step: float = 0.5, **values: Any) -> FileDataset:
    """An enhanced MR file whose frames are stored from the last slice to the first."""
    found = dataset(volume[0], None, axes=None, **values)
    found.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    found.SOPClassUID = ENHANCED_MR
    del found.PixelSpacing, found.SliceThickness
    found.NumberOfFrames = len(volume)
    found.PixelData = volume[::-1].astype(volume.dtype.newbyteorder("<")).tobytes()
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _words((ROW, COLUMN))
    measures.PixelSpacing, measures.SliceThickness = ["0.2", "0.1"], "0.3"
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    found.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number in range(len(volume))[::-1]:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = _words(number * step * NORMAL)
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    found.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return found
