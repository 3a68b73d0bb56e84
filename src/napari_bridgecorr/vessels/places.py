"""Places on vessels beside their branchings: they help to match, and may be proposed themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .ridges import Float32Array

FloatArray = NDArray[np.float64]

_MOST = 150
_APART = 1.5
# crests: within a tenth of the strongest neighbour, and of the strongest tenth of all voxels
_CREST, _STRONG = 0.9, 0.9


def along_vessels(
    ridges: tuple[Float32Array, Float32Array],
    index: FloatArray,
    spacing_um: FloatArray,
    scale_um: float,
) -> FloatArray:
    """Voxels on the crests of strong ridges, apart from given places and from each other.

    Parameters
    ----------
    ridges : two (z, y, x) float32
        Of the image whose places are wanted, and of the other one; NaN outside of the data.
    index : (n, 3) float64
        Given places in voxels.
    spacing_um : (3,) float64
    scale_um : float

    Returns
    -------
    (m, 3) float64
        In voxels, the strongest first, at most 150.
    """
    own = ridges[0]
    known = np.isfinite(own) & np.isfinite(ridges[1])
    if not known.any():
        return np.empty((0, 3))
    values = np.where(known, own, 0)
    size = [3 if n > 1 else 1 for n in own.shape]
    crest = values >= _CREST * ndimage.maximum_filter(values, size=size)
    crest &= values > np.quantile(values[known], _STRONG)
    at = np.argwhere(crest)
    at = at[np.argsort(-values[crest], kind="stable")]
    free = np.array(own.shape) > 1
    # spread over the whole, not all along the strongest vessel
    room = float(np.prod((np.array(own.shape) * spacing_um)[free])) / _MOST
    gap = max(_APART * scale_um, 0.5 * room ** (1 / int(free.sum())))
    taken = index * spacing_um
    for place in at * spacing_um:
        if len(taken) - len(index) >= _MOST:
            break
        if not len(taken) or ((taken - place) ** 2).sum(axis=1).min() >= gap**2:
            taken = np.concatenate([taken, place[None]])
    return np.asarray(taken[len(index) :] / spacing_um)
