"""How far two raters' landmarks lie apart at the same places of the fixed image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..fitting.error_summary import ErrorSummary, summarise
from ..landmarks import LandmarkSet

FloatArray = NDArray[np.float64]

MEANING = (
    "distance (um) in the moving space between the two raters' points for the same place of the "
    "fixed image"
)
# a place that went through a file or a layer comes back rounded
SAME_SITE_UM = 1e-3


@dataclass(frozen=True, eq=False)
class SiteDifferences:
    """What two raters clicked at the same sites.

    Parameters
    ----------
    ids : tuple of str
        The first rater's, of the n sites that both have.
    fixed_um : (n, 3) float64
        The sites, fixed world (z, y, x).
    first_um, second_um : (n, 3) float64
        Either rater's points, moving world.
    n_missing : int
        Sites of the first rater that the second did not click.
    """

    ids: tuple[str, ...]
    fixed_um: FloatArray
    first_um: FloatArray
    second_um: FloatArray
    n_missing: int

    @property
    def difference_um(self) -> FloatArray:
        """(n, 3) second less first."""
        return self.second_um - self.first_um

    @property
    def lengths_um(self) -> FloatArray:
        """(n,) how far apart they are."""
        return np.asarray(np.linalg.norm(self.difference_um, axis=1))

    @property
    def overall(self) -> ErrorSummary:
        """Over all sites, by axis too."""
        return summarise(self.difference_um)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "meaning": MEANING,
            **self.overall.to_dict(),
            "n_missing": self.n_missing,
            "sites": [
                {
                    "id": name,
                    "fixed_um": [float(v) for v in at],
                    "difference_um": [float(v) for v in difference],
                    "length_um": float(np.linalg.norm(difference)),
                }
                for name, at, difference in zip(
                    self.ids, self.fixed_um, self.difference_um, strict=True
                )
            ],
        }


def compare_sites(
    first: LandmarkSet, second: LandmarkSet, within_um: float = SAME_SITE_UM
) -> SiteDifferences:
    """Compare two raters' moving points at the sites that both have.

    A site is a place of the fixed image: ids, names and order say nothing. Whether a landmark is
    enabled or set aside says nothing either: both were clicked.

    Parameters
    ----------
    first, second : LandmarkSet
        Half pairs are left out.
    within_um : float
        Fixed places so near to each other are one site.

    Raises
    ------
    FitError
        If they have no site in common.
    """
    ones = [m for m in first if m.is_pair]
    others = [m for m in second if m.is_pair]
    if not ones or not others:
        who = "first" if not ones else "second"
        raise FitError(f"the {who} rater has no complete pair; nothing can be compared")
    places = np.array([m.fixed_um for m in others], dtype=np.float64)
    found: list[tuple[int, int]] = []
    for k, landmark in enumerate(ones):
        gaps = np.linalg.norm(places - np.array(landmark.fixed_um), axis=1)
        nearest = int(gaps.argmin())
        if gaps[nearest] <= within_um:
            found.append((k, nearest))
    if not found:
        raise FitError(
            f"the raters have no site in common: no two fixed points lie within {within_um:g} um "
            "of each other; the second rater starts from the first one's fixed points"
        )
    return SiteDifferences(
        tuple(ones[k].id for k, _ in found),
        np.array([ones[k].fixed_um for k, _ in found], dtype=np.float64),
        np.array([ones[k].moving_um for k, _ in found], dtype=np.float64),
        np.array([others[j].moving_um for _, j in found], dtype=np.float64),
        len(ones) - len(found),
    )
