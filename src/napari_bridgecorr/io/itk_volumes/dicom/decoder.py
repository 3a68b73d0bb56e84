"""Decompression in a process of its own: SimpleITK's decoders crash or hang on damaged JPEGs."""

from __future__ import annotations

from pathlib import Path

from ....helper_process import HelperFault, HelperProcess
from ...lazy import Block

_LEAST_S = 4.0
# the slowest usual one (JPEG 2000) decodes about 20 MB a second
_BYTES_PER_S = 4e6

_HELPER = HelperProcess("from napari_bridgecorr.simple_itk import serve_dicom_arrays as s; s()")


class DecodingError(Exception):
    """Why a file's pixels cannot be decompressed, as a clause."""


def decode_dicom(path: Path, n_bytes: int) -> Block:
    """Every pixel of a file, decompressed and rescaled: (frames, rows, columns[, samples]).

    Parameters
    ----------
    path : Path
        A file whose structure and claimed size have been checked.
    n_bytes : int
        Of its pixels when decompressed; sets how long to wait.

    Raises
    ------
    DecodingError
        If the pixels are damaged.
    """
    try:
        _, (pixels,) = _HELPER.ask(path, _LEAST_S + n_bytes / _BYTES_PER_S)
    except HelperFault as error:
        raise DecodingError(f"they cannot be decompressed ({error})") from error
    return pixels
