"""Writer of CZI files of one scene (synthetic samples, mostly), plane by plane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import WriteError
from ...progress import Progress, Silent
from ...units import micrometres_per
from ..atomic import replacing
from .library import Plane, write_planes

_PLANES_AT_ONCE_BYTES = 2**27


def write_czi(
    path: Path,
    data: Any,
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    progress: Progress | None = None,
    *,
    colours: Sequence[str | None] | None = None,
    origin_px: tuple[int, int] = (0, 0),
) -> None:
    """Write an image as a CZI file, losslessly compressed, whole or not at all.

    Parameters
    ----------
    path : Path
    data : (t, c, z, y, x) numpy or dask array
        uint8 or uint16. Computed a few planes at a time.
    spacing_um : (float, float, float)
        Spacing z, y, x.
    channel_names : sequence of str
        One per channel.
    progress : Progress
        Advanced once per plane; may raise Cancelled, which leaves nothing behind.
    colours : sequence of str or None
        ``#RRGGBB`` per channel.
    origin_px : (int, int)
        Place (y, x) of the first pixel on the mosaic.

    Raises
    ------
    WriteError
        If the data cannot be stored in a CZI file, or the folder cannot be written to.
    """
    shown = tuple(colours) if colours is not None else (None,) * len(channel_names)
    _check(path, data, spacing_um, channel_names, shown)
    watcher = progress or Silent()
    with replacing(path) as temporary:
        write_planes(
            temporary,
            _planes(data, watcher),
            [float(s) / micrometres_per("m") for s in spacing_um],
            channel_names,
            shown,
            origin_px,
        )


def _check(
    path: Path,
    data: Any,
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    colours: Sequence[str | None],
) -> None:
    remedy = "give a (t, c, z, y, x) array of uint8 or uint16"
    if data.ndim != 5 or 0 in data.shape:
        raise WriteError(path, f"an array of shape {tuple(data.shape)} is no image", remedy)
    if data.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise WriteError(path, f"{data.dtype} cannot be stored in a CZI file", remedy)
    if len(channel_names) != data.shape[1] or len(colours) != data.shape[1]:
        fault = f"{data.shape[1]} channels have {len(channel_names)} names, {len(colours)} colours"
        raise WriteError(path, fault, "name each channel once")
    if len(spacing_um) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_um):
        raise WriteError(path, f"the spacing {spacing_um} is not positive", "give z, y, x in um")
    for colour in colours:
        if colour is not None and not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
            raise WriteError(path, f"{colour!r} is not a colour", "write it as #RRGGBB")


def _planes(data: Any, progress: Progress) -> Iterator[Plane]:
    n_t, n_c, n_z, n_y, n_x = data.shape
    progress.begin("writing CZI", n_t * n_c * n_z)
    plane_bytes = n_y * n_x * data.dtype.itemsize
    # a dask chunk spans planes: computing plane by plane would compute it once for each
    step = max(1, min(n_z, _PLANES_AT_ONCE_BYTES // plane_bytes))
    for t in range(n_t):
        for c in range(n_c):
            for z0 in range(0, n_z, step):
                stack = np.asarray(data[t, c, z0 : z0 + step])
                for i, pixels in enumerate(stack):
                    yield Plane(t, c, z0 + i, np.ascontiguousarray(pixels))
                    progress.advance()
