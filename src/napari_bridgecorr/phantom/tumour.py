"""An infiltrating tumour, cell by cell. Positions are (z, y, x) in um in the two-photon world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .room import Surface
from .tubes import TubeIndex, Tubes

FloatArray = NDArray[np.float64]

# cells of a high-grade glioma: about 13 um across, filling up to half of the core
CELL_RADIUS_UM = 6.5
_PACKING = 0.5
# glioma cells crawl along vessels: so much more often within so many um of a wall
_PERIVASCULAR_GAIN = 2.0
_PERIVASCULAR_UM = 12.0


@dataclass(frozen=True, eq=False)
class TumourField:
    """Chance of finding a tumour cell: a core and infiltrating satellites, all Gaussian.

    Parameters
    ----------
    centres_um : (m, 3) float64
    widths_um : (m,) float64
        Standard deviations.
    strengths : (m,) float64
    """

    centres_um: FloatArray
    widths_um: FloatArray
    strengths: FloatArray

    def density(self, points_um: FloatArray) -> FloatArray:
        """(n,) values in [0, 1): ``1 - exp(-sum)``, so that overlapping lumps saturate."""
        return np.asarray(-np.expm1(-self.sum(points_um)), dtype=np.float64)

    def sum(self, points_um: FloatArray) -> FloatArray:
        """(n,) sum of the lumps."""
        total = np.zeros(len(points_um))
        for c, s, a in zip(self.centres_um, self.widths_um, self.strengths, strict=True):
            total += a * np.exp(-np.sum((points_um - c) ** 2, axis=1) / (2 * s**2))
        return total


def random_tumour(
    rng: np.random.Generator, centre_um: ArrayLike, radius_um: float, n_satellites: int = 14
) -> TumourField:
    """A core of about `radius_um` with satellites that get smaller and sparser outwards."""
    centre = np.asarray(centre_um, dtype=np.float64)
    # a few overlapping lumps make the core irregular
    n_core = 5
    offsets = rng.normal(size=(n_core, 3)) * radius_um * 0.42
    out = rng.normal(size=(n_satellites, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    far = radius_um * rng.uniform(1.0, 2.3, n_satellites)
    widths = np.concatenate(
        [
            radius_um * rng.uniform(0.32, 0.52, n_core),
            radius_um * rng.uniform(0.10, 0.24, n_satellites),
            [radius_um * 0.95],
        ]
    )
    strengths = np.concatenate(
        [
            rng.uniform(1.2, 2.6, n_core),
            rng.uniform(0.15, 0.8, n_satellites) * radius_um / far,
            # a thin cloud of single cells round it all
            [0.10],
        ]
    )
    centres = np.concatenate([centre + offsets, centre + out * far[:, None], [centre]])
    return TumourField(centres, widths, strengths)


def place_cells(
    rng: np.random.Generator,
    field: TumourField,
    vessels: TubeIndex,
    surface: Surface,
    lower_um: FloatArray,
    upper_um: FloatArray,
) -> Tubes:
    """Tumour cells at random where `field` says, clear of the vessels and of the surface.

    Each cell is a short capsule; cells may overlap each other. `vessels` should reach 25 um or
    more, for the cells that follow them.
    """
    # candidates are drawn lump by lump and thinned where the lumps' sum saturates
    most = _PACKING * (1 + _PERIVASCULAR_GAIN) / (4 / 3 * np.pi * CELL_RADIUS_UM**3)
    weights = field.strengths * (2 * np.pi) ** 1.5 * field.widths_um**3
    drawn = [
        rng.normal(c, s, (rng.poisson(most * w), 3))
        for c, s, w in zip(field.centres_um, field.widths_um, weights, strict=True)
    ]
    centres = np.concatenate(drawn)
    total = field.sum(centres)
    centres = centres[rng.random(len(centres)) * total < -np.expm1(-total)]
    centres = centres[np.all((centres > lower_um) & (centres < upper_um), axis=1)]
    radius = CELL_RADIUS_UM * np.exp(rng.normal(0, 0.12, len(centres)))
    half = rng.normal(size=centres.shape)
    half *= (rng.uniform(0, 0.7, len(centres)) * radius / np.linalg.norm(half, axis=1))[:, None]
    span = radius + np.linalg.norm(half, axis=1)
    wall = vessels.distance(centres)
    nearness = np.where(wall < vessels.reach_um, np.exp(-wall / _PERIVASCULAR_UM), 0.0)
    chosen = rng.random(len(centres)) * (1 + _PERIVASCULAR_GAIN) < 1 + _PERIVASCULAR_GAIN * nearness
    depth = centres[:, 0] - surface.z(centres[:, 1], centres[:, 2])
    keep = chosen & (wall > span) & (depth > span)
    centres, half, radius = centres[keep], half[keep], radius[keep]
    return Tubes(centres - half, centres + half, radius, radius)
