"""Files that SimpleITK reads and writes. The world there is LPS in mm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..helper_process import Answer, HelperFault, serve
from .library import fault_of, library

# address space of the process that decodes DICOM files of at most half a GiB
_HELPER_BYTES = 6 * 2**30

ItkStep = NDArray[np.float64] | tuple[NDArray[Any], NDArray[np.float64]]


def read_dicom_array(path: Path) -> NDArray[Any]:
    """Every pixel of a DICOM file, decompressed and rescaled: (frames, rows, columns[, samples]).

    The file's structure and the size it claims must have been checked.

    Raises
    ------
    RuntimeError
        As SimpleITK says it; see :func:`fault_of`.
    """
    itk = library()
    reader = itk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    array: NDArray[Any] = itk.GetArrayFromImage(reader.Execute())
    return array


def serve_dicom_arrays() -> None:
    """Answer DICOM files by :func:`read_dicom_array`: the main loop of a helper process."""

    def answer(path: Path) -> Answer:
        try:
            return None, [read_dicom_array(path)]
        except RuntimeError as error:
            raise HelperFault(fault_of(error)) from error

    library()  # its start is not the first file's time
    serve(answer, _HELPER_BYTES)


def write_vector_image(
    path: Path, vectors_mm: NDArray[np.float32], index_to_mm: NDArray[np.float64]
) -> None:
    """Write an image of vectors, compressed, in the format that the name's ending asks for.

    Parameters
    ----------
    path : Path
    vectors_mm : (z, y, x, 3) float32
        Components along x, y, z.
    index_to_mm : (4, 4) float64
        (i, j, k, 1) to (x, y, z, 1), its axes at right angles.

    Raises
    ------
    RuntimeError
        As SimpleITK says it; see :func:`fault_of`.
    """
    library().WriteImage(_vector_image(vectors_mm, index_to_mm), str(path), True)


def write_transforms(path: Path, steps: Sequence[ItkStep]) -> None:
    """Write transforms, the first applied first, as ITK's transform file (``.h5``).

    Parameters
    ----------
    path : Path
    steps : sequence
        A matrix (4, 4) in mm on (x, y, z, 1), or a field as a pair of vectors (z, y, x, 3) and
        the (4, 4) matrix of their indices; see :func:`write_vector_image`.

    Raises
    ------
    RuntimeError
        As SimpleITK says it.
    """
    itk = library()
    parts = [_itk_transform(itk, step) for step in steps]
    # the last one added to a composite is applied first
    whole = parts[0] if len(parts) == 1 else itk.CompositeTransform(parts[::-1])
    itk.WriteTransform(whole, str(path))


def _itk_transform(itk: Any, step: ItkStep) -> Any:
    if isinstance(step, tuple):
        # the transform takes the image's pixels over and leaves it empty
        return itk.DisplacementFieldTransform(itk.Cast(_vector_image(*step), itk.sitkVectorFloat64))
    affine = itk.AffineTransform(3)
    affine.SetMatrix(step[:3, :3].ravel().tolist())
    affine.SetTranslation(step[:3, 3].tolist())
    return affine


def _vector_image(vectors_mm: NDArray[Any], index_to_mm: NDArray[np.float64]) -> Any:
    image = library().GetImageFromArray(vectors_mm, isVector=True)
    spacing = np.linalg.norm(index_to_mm[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(index_to_mm[:3, 3].tolist())
    image.SetDirection((index_to_mm[:3, :3] / spacing).ravel().tolist())
    return image
