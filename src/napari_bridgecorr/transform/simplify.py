"""The same map in fewer steps."""

from __future__ import annotations

import numpy as np

from .affine import Affine
from .base import Chain, InvertedTransform, Transform
from .field import DisplacementField
from .kernel_map import KernelMap
from .section import SectionPlacement
from .thin_plate import ThinPlateSpline

# an affine that moves no point within 1 m of the origin by more than 1e-9 um leaves points alone
_SAME_LINEAR = 2.5e-16
_SAME_OFFSET_UM = 1e-10


def simplified(transform: Transform) -> Transform:
    """The same map in as few steps as can be.

    Chains within chains are unrolled, neighbouring affines become one, affines that change nothing
    are left out, and a step directly after its own inverse cancels it.

    Parameters
    ----------
    transform : Transform

    Returns
    -------
    Transform
        Equal to `transform` to 1e-9 um, wherever that is defined. A displacement field and its
        inverse do not cancel: what they do not cover is to stay NaN.

    Examples
    --------
    >>> shift = Affine.from_parts(np.eye(3), (1, 2, 3))
    >>> simplified(Chain(shift, Chain(shift, shift.inverse()))).map([[0, 0, 0]]).tolist()
    [[1.0, 2.0, 3.0]]
    """
    if isinstance(transform, SectionPlacement):
        return transform
    kept: list[Transform] = []
    for step in steps_of(transform):
        _append(kept, step)
    if not kept:
        return Affine.identity()
    return kept[0] if len(kept) == 1 else Chain(*kept)


def steps_of(transform: Transform) -> list[Transform]:
    """The steps of a transform, chains within chains unrolled."""
    if isinstance(transform, Chain):
        return [step for part in transform.transforms for step in steps_of(part)]
    if isinstance(transform, InvertedTransform) and isinstance(transform.forward, Chain):
        return steps_of(transform.forward.inverse())
    return [transform]


def are_same(a: Transform, b: Transform) -> bool:
    """Whether two transforms are the same by their numbers (not by where they came from)."""
    if a is b:
        return True
    if isinstance(a, InvertedTransform) and isinstance(b, InvertedTransform):
        return are_same(a.forward, b.forward)
    if isinstance(a, Affine) and isinstance(b, Affine):
        return np.array_equal(a.matrix, b.matrix)
    if isinstance(a, DisplacementField) and isinstance(b, DisplacementField):
        return a.grid == b.grid and np.array_equal(a.displacement_um, b.displacement_um)
    if isinstance(a, ThinPlateSpline) and isinstance(b, ThinPlateSpline):
        return (
            a.dimensions == b.dimensions
            and a.scale_um == b.scale_um
            and np.array_equal(a.centre_um, b.centre_um)
            and np.array_equal(a.fixed_um, b.fixed_um)
            and np.array_equal(a.weights_um, b.weights_um)
            and np.array_equal(a.polynomial_um, b.polynomial_um)
        )
    if isinstance(a, KernelMap) and isinstance(b, KernelMap):
        return a.to_dict() == b.to_dict()
    if isinstance(a, Chain) and isinstance(b, Chain):
        first, second = steps_of(a), steps_of(b)
        return len(first) == len(second) and all(map(are_same, first, second))
    return False


def _append(kept: list[Transform], step: Transform) -> None:
    """Put a step after those that are kept, or take it up into the last of them."""
    if isinstance(step, Affine):
        if kept and isinstance(kept[-1], Affine):
            last = kept.pop()
            assert isinstance(last, Affine)
            step = Affine(step.matrix @ last.matrix)
        if not _changes_nothing(step):
            kept.append(step)
        return
    if kept and _cancel(kept[-1], step):
        kept.pop()
        return
    kept.append(step)


def _cancel(a: Transform, b: Transform) -> bool:
    """Whether `b` leads back where `a` came from, and both are defined everywhere."""
    if isinstance(b, InvertedTransform):
        return isinstance(a, ThinPlateSpline | KernelMap) and are_same(a, b.forward)
    if isinstance(a, InvertedTransform):
        return isinstance(b, ThinPlateSpline | KernelMap) and are_same(a.forward, b)
    return False


def _changes_nothing(affine: Affine) -> bool:
    off = np.abs(affine.matrix[:3] - np.eye(4)[:3])
    return bool(off[:, :3].max() <= _SAME_LINEAR and off[:, 3].max() <= _SAME_OFFSET_UM)
