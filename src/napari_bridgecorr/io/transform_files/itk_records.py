"""ITK's transforms as they stand in its files: a type and two lists of numbers, in LPS mm.

Formulas: the ITK Software Guide, book 2, ch. 3, and the classes' documentation; each is tested
against SimpleITK.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import TransformError

FloatArray = NDArray[np.float64]

LARGEST_MM = 1e12
"""No image is so far away: such a number is damage, and would overflow."""


@dataclass(frozen=True, eq=False)
class ItkRecord:
    """One transform of a file.

    Parameters
    ----------
    kind : str
        ITK's class name without the types, as ``AffineTransform``.
    dimensions : int
        2 or 3.
    parameters, fixed : (n,) float64 or float32
        Parameters and fixed parameters (a centre of rotation, a grid).
    """

    kind: str
    dimensions: int
    parameters: NDArray[np.float64] | NDArray[np.float32]
    fixed: FloatArray


def split_type(text: str) -> tuple[str, int]:
    """``AffineTransform_double_3_3`` as its class and number of dimensions.

    Raises
    ------
    TransformError
        If it is no transform of 2 or 3 dimensions onto as many.
    """
    kind, *types = text.strip().strip("\0").split("_")
    sizes = [part for part in types if part.isdigit()]
    if not kind.isidentifier() or not kind.endswith(("Transform", "TransformBase")):
        raise TransformError(f"{text[:80]!r} is no name of an ITK transform")
    if sizes[:2] not in (["2", "2"], ["3", "3"]):
        raise TransformError(f"{text[:80]} does not map 2 or 3 dimensions onto as many")
    return kind, int(sizes[0])


def matrix_of(record: ItkRecord) -> FloatArray | None:
    """(d + 1, d + 1) matrix on the column (x, y[, z], 1) in mm; None if it is no matrix transform.

    Raises
    ------
    TransformError
        If the number of parameters is wrong or one is not finite.
    """
    known = _MATRICES.get((record.kind, record.dimensions))
    if known is None:
        return None
    n, build = known
    d = record.dimensions
    parameters = np.asarray(record.parameters, dtype=np.float64)
    if parameters.size != n:
        raise TransformError(f"{record.kind} has {parameters.size} parameters, not {n}")
    if not (np.all(np.isfinite(parameters)) and np.all(np.isfinite(record.fixed))):
        raise TransformError(f"{record.kind} has parameters that are not finite numbers")
    centre = np.zeros(d)
    if record.fixed.size >= d:
        centre = record.fixed[:d]
    elif record.fixed.size:
        raise TransformError(f"{record.kind} has {record.fixed.size} fixed parameters, not {d}")
    linear, translation, own_centre = build(parameters, record)
    if own_centre is not None:
        centre = own_centre
    matrix = np.eye(d + 1)
    matrix[:d, :d] = linear
    with np.errstate(all="ignore"):
        matrix[:d, d] = translation + centre - linear @ centre
    if not np.all(np.abs(matrix) < LARGEST_MM):
        raise TransformError(f"{record.kind} has parameters that are no map")
    return matrix


Parts = tuple[FloatArray, FloatArray, FloatArray | None]
Build = Callable[[FloatArray, ItkRecord], Parts]


def euler_matrix(x: float, y: float, z: float, z_y_x: bool) -> FloatArray:
    """ITK's rotation by three angles (radians): Z X Y by default, Z Y X where asked."""
    cx, sx, cy, sy = math.cos(x), math.sin(x), math.cos(y), math.sin(y)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.eye(3)
    rz[:2, :2] = planar_rotation(z)
    rotation: FloatArray = rz @ ry @ rx if z_y_x else rz @ rx @ ry
    return rotation


def planar_rotation(angle: float) -> FloatArray:
    """(2, 2) rotation by an angle in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def quaternion_matrix(x: float, y: float, z: float, w: float) -> FloatArray:
    """Rotation of a quaternion (normalised first)."""
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not length > 0:
        raise TransformError("a rotation has the quaternion 0")
    x, y, z, w = x / length, y / length, z / length, w / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def versor_matrix(v: FloatArray) -> FloatArray:
    """Rotation of the right part of a versor; ITK shortens one that is longer than 1."""
    length = float(np.linalg.norm(v))
    if length > 1:
        v = v / length
    return quaternion_matrix(v[0], v[1], v[2], math.sqrt(max(0.0, 1 - float(v @ v))))


def _affine(p: FloatArray, record: ItkRecord) -> Parts:
    d = record.dimensions
    return p[: d * d].reshape(d, d), p[d * d :], None


def _centred_affine(p: FloatArray, record: ItkRecord) -> Parts:
    d = record.dimensions
    return p[: d * d].reshape(d, d), p[d * d + d :], p[d * d : d * d + d]


def _translation(p: FloatArray, record: ItkRecord) -> Parts:
    return np.eye(record.dimensions), p, None


def _identity(_: FloatArray, record: ItkRecord) -> Parts:
    return np.eye(record.dimensions), np.zeros(record.dimensions), None


def _scale(p: FloatArray, record: ItkRecord) -> Parts:
    return np.diag(p), np.zeros(record.dimensions), None


def _scale_logarithmic(p: FloatArray, record: ItkRecord) -> Parts:
    with np.errstate(over="ignore"):
        return np.diag(np.exp(p)), np.zeros(record.dimensions), None


def _euler(p: FloatArray, record: ItkRecord) -> Parts:
    return euler_matrix(p[0], p[1], p[2], _is_z_y_x(record)), p[3:], None


def _centred_euler(p: FloatArray, _: ItkRecord) -> Parts:
    return euler_matrix(p[0], p[1], p[2], False), p[6:], p[3:6]


def _is_z_y_x(record: ItkRecord) -> bool:
    """The fourth fixed parameter of an Euler3DTransform (ITK 4.10 and later)."""
    return record.fixed.size > 3 and record.fixed[3] != 0


def _versor(p: FloatArray, _: ItkRecord) -> Parts:
    return versor_matrix(p), np.zeros(3), None


def _versor_rigid(p: FloatArray, _: ItkRecord) -> Parts:
    return versor_matrix(p[:3]), p[3:], None


def _quaternion_rigid(p: FloatArray, _: ItkRecord) -> Parts:
    return quaternion_matrix(p[0], p[1], p[2], p[3]), p[4:], None


def _similarity(p: FloatArray, _: ItkRecord) -> Parts:
    return versor_matrix(p[:3]) * p[6], p[3:6], None


def _scale_versor(p: FloatArray, _: ItkRecord) -> Parts:
    # the scale is added to the rotation, not multiplied with it: so ITK defines it
    return versor_matrix(p[:3]) + np.diag(p[6:9] - 1), p[3:6], None


def _scale_skew_versor(p: FloatArray, _: ItkRecord) -> Parts:
    skew = np.zeros((3, 3))
    skew[[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]] = p[9:15]
    return versor_matrix(p[:3]) + np.diag(p[6:9] - 1) + skew, p[3:6], None


def _compose_scale_skew_versor(p: FloatArray, _: ItkRecord) -> Parts:
    skew = np.array([[1, p[9], p[10]], [0, 1, p[11]], [0, 0, 1]])
    return versor_matrix(p[:3]) @ np.diag(p[6:9]) @ skew, p[3:6], None


def _euler_2d(p: FloatArray, _: ItkRecord) -> Parts:
    return planar_rotation(p[0]), p[1:], None


def _centred_rigid_2d(p: FloatArray, _: ItkRecord) -> Parts:
    return planar_rotation(p[0]), p[3:], p[1:3]


def _similarity_2d(p: FloatArray, _: ItkRecord) -> Parts:
    return planar_rotation(p[1]) * p[0], p[2:], None


def _centred_similarity_2d(p: FloatArray, _: ItkRecord) -> Parts:
    return planar_rotation(p[1]) * p[0], p[4:], p[2:4]


_MATRICES: dict[tuple[str, int], tuple[int, Build]] = {
    ("Euler3DTransform", 3): (6, _euler),
    ("CenteredEuler3DTransform", 3): (9, _centred_euler),
    ("VersorTransform", 3): (3, _versor),
    ("VersorRigid3DTransform", 3): (6, _versor_rigid),
    ("QuaternionRigidTransform", 3): (7, _quaternion_rigid),
    ("Rigid3DTransform", 3): (12, _affine),
    ("Similarity3DTransform", 3): (7, _similarity),
    ("ScaleVersor3DTransform", 3): (9, _scale_versor),
    ("ScaleSkewVersor3DTransform", 3): (15, _scale_skew_versor),
    ("ComposeScaleSkewVersor3DTransform", 3): (12, _compose_scale_skew_versor),
    ("Euler2DTransform", 2): (3, _euler_2d),
    ("Rigid2DTransform", 2): (3, _euler_2d),
    ("CenteredRigid2DTransform", 2): (5, _centred_rigid_2d),
    ("Similarity2DTransform", 2): (4, _similarity_2d),
    ("CenteredSimilarity2DTransform", 2): (6, _centred_similarity_2d),
}
for _d in (2, 3):
    for _name in (
        "AffineTransform",
        "MatrixOffsetTransformBase",
        "ScalableAffineTransform",
        "FixedCenterOfRotationAffineTransform",
    ):
        _MATRICES[_name, _d] = (_d * _d + _d, _affine)
    _MATRICES["CenteredAffineTransform", _d] = (_d * _d + 2 * _d, _centred_affine)
    _MATRICES["TranslationTransform", _d] = (_d, _translation)
    _MATRICES["IdentityTransform", _d] = (0, _identity)
    _MATRICES["ScaleTransform", _d] = (_d, _scale)
    _MATRICES["ScaleLogarithmicTransform", _d] = (_d, _scale_logarithmic)
