"""The only file that imports imagecodecs: compressed bytes to pixels and back.

A codec is told how much may come out, or its header was asked before: what a stream claims is not
believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

# imagecodecs' errors are RuntimeErrors
_FAULTS = (RuntimeError, ValueError, TypeError, MemoryError, OverflowError, IndexError)


class CodecError(RuntimeError):
    """Why bytes cannot be decoded, as a clause."""


def decode_picture(kind: str, raw: bytes) -> NDArray[Any]:
    """Pixels (rows, columns[, samples]) of a whole picture, red first.

    Parameters
    ----------
    kind : {"JPEG", "JPEG-XR", "PNG"}
    raw : bytes

    Raises
    ------
    CodecError
        If it is damaged.
    """
    decoders: dict[str, Callable[[bytes], Any]] = {
        "JPEG": imagecodecs.jpeg8_decode,
        "JPEG-XR": imagecodecs.jpegxr_decode,
        "PNG": imagecodecs.png_decode,
    }
    try:
        return np.asarray(decoders[kind](raw))
    except _FAULTS as error:
        raise CodecError(str(error) or type(error).__name__) from error


def decode_bytes(kind: str, raw: bytes, n_bytes: int) -> bytes:
    """Uncompressed bytes, of which there must be `n_bytes`.

    Parameters
    ----------
    kind : {"zstd", "LZW"}
    raw : bytes
    n_bytes : int

    Raises
    ------
    CodecError
        If they are damaged or of another number.
    """
    decode = imagecodecs.zstd_decode if kind == "zstd" else imagecodecs.lzw_decode
    try:
        found = bytes(decode(raw, out=n_bytes))
    except _FAULTS as error:
        raise CodecError(str(error) or type(error).__name__) from error
    if len(found) != n_bytes:
        raise CodecError(f"{len(found)} bytes came out, not {n_bytes}")
    return found


def encode_zstd(raw: bytes, level: int) -> bytes:
    """Bytes compressed by zstd."""
    return bytes(imagecodecs.zstd_encode(raw, level=level))
