"""The comment that our NIfTI files carry: the exact affine and the channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from .header import FloatArray

MARK = b"bridgecorr "


def our_notes(comments: Sequence[bytes]) -> dict[str, Any]:
    """What `write_nifti` left in the header's comments, or nothing."""
    for comment in comments:
        if comment.startswith(MARK):
            try:
                notes = json.loads(comment[len(MARK) :])
            except (ValueError, RecursionError):
                return {}
            return notes if isinstance(notes, dict) else {}
    return {}


def exact_affine(stored: FloatArray, notes: dict[str, Any]) -> FloatArray:
    """The noted affine if `stored` is it to float32; else another program moved the image since."""
    try:
        exact = np.asarray(notes.get("index_to_world"), dtype=np.float64)
    except (TypeError, ValueError):
        return stored
    if exact.shape == (4, 4) and np.allclose(stored, exact, rtol=1.5e-7, atol=1e-30):
        return exact
    return stored
