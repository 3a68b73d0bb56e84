"""Whether a graphics card interpolates, and the map in the parts that it takes.

The environment variable ``BRIDGECORR_TORCH`` decides: ``auto`` (a CUDA card where torch sees one),
``off``, or torch's name of a device, as ``cuda:1`` or ``cpu``. Apple's cards (MPS) are not taken:
they have no float64, and places in float32 would be wrong by more than is promised.
"""

from __future__ import annotations

import ctypes.util
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..transform import DisplacementField, Transform
from ..transform.lattice_map import LatticeMap
from ..transform.simplify import steps_of

if TYPE_CHECKING:
    from .torch_pull import TorchPull

FloatArray = NDArray[np.float64]

VARIABLE = "BRIDGECORR_TORCH"
INTERPOLATIONS = ("nearest", "linear")
# of the drivers, on Linux: torch takes seconds to load and is not asked without one
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


@dataclass(frozen=True, eq=False)
class FieldStep:
    """``x -> x + d(x)`` of :class:`DisplacementField`.

    Parameters
    ----------
    to_index : (4, 4) float64
        World to the field's indices.
    displacement_um : (3, z, y, x) float32 or float64
    """

    to_index: FloatArray
    displacement_um: NDArray[np.floating]


Step = LatticeMap | FieldStep


def map_steps(
    transform: Transform, before: FloatArray, after: FloatArray
) -> tuple[Step, ...] | None:
    """A map between the indices of two grids in steps that a graphics card takes.

    Parameters
    ----------
    transform : Transform
    before, after : (4, 4) float64
        Fixed index to world, world to moving index.

    Returns
    -------
    tuple of Step or None
        First applied first; None where a step is a numeric inverse or a kernel without a formula
        there.
    """
    found: list[Step] = []
    for part in steps_of(transform):
        matrix = part.matrix_um
        if matrix is not None:
            before = matrix @ before
            continue
        if isinstance(part, DisplacementField):
            found.append(LatticeMap.affine(before))
            found.append(FieldStep(part.grid.world_to_index, part.displacement_um))
        else:
            bending = part.lattice_map(before, np.eye(4))
            if bending is None:
                return None
            found.append(bending)
        before = np.eye(4)
    found.append(LatticeMap.affine(after @ before))
    return tuple(found)


def on_graphics(
    transform: Transform, fixed: Grid, moving: Grid, interpolation: str
) -> TorchPull | None:
    """What interpolates on a graphics card; None where the processor does.

    Raises
    ------
    GeometryError
        As :func:`chosen_device`.
    """
    if interpolation not in INTERPOLATIONS:
        return None
    device = chosen_device()
    if not device:
        return None
    steps = map_steps(transform, fixed.index_to_world, moving.world_to_index)
    if steps is None:
        return None
    from .torch_pull import TorchPull

    return TorchPull(steps, device)


def chosen_device() -> str:
    """Torch's name of the device that interpolates; "" for none.

    Raises
    ------
    GeometryError
        If a device is asked for by name and cannot be had.
    """
    asked = os.environ.get(VARIABLE, "auto").strip().lower() or "auto"
    if asked == "off":
        return ""
    if asked == "auto" and not _has_driver():
        return ""
    if find_spec("torch") is None:
        if asked == "auto":
            return ""
        raise GeometryError(
            f"{VARIABLE} asks for {asked}, but torch is not installed; install "
            "napari-bridgecorr[ml], or set it to off"
        )
    from .torch_pull import is_usable

    if asked == "auto":
        return "cuda" if is_usable("cuda") else ""
    if not is_usable(asked):
        raise GeometryError(
            f"torch cannot work on {asked} with float64 here; set {VARIABLE} to auto or off"
        )
    return asked


def _has_driver() -> bool:
    if os.name == "nt":
        return ctypes.util.find_library("nvcuda") is not None
    return any(Path(name).exists() for name in _DRIVERS)
