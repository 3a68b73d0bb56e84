"""Two raters' landmarks of the same images compared: their clicks, and the maps fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BridgecorrError
from ..evaluate import RaterDifference, SiteDifferences, compare_sites, inter_rater
from ..fitting import FitOptions, fit
from ..geometry import Grid
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..report import write_rater_report
from ..versions import library_versions


@dataclass(frozen=True, eq=False)
class RaterComparison:
    """What two raters' landmarks say of each other.

    Parameters
    ----------
    sites : SiteDifferences
        Of the clicks.
    maps : RaterDifference or None
        Of the maps fitted to either, at 50 x 50 points of every slice.
    fault : str
        Why there are no maps to compare; "" if there are.
    """

    sites: SiteDifferences
    maps: RaterDifference | None
    fault: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "clicks": self.sites.to_dict(),
            "maps": None if self.maps is None else self.maps.to_dict(),
            "fault": self.fault,
        }


def compare_raters(
    first: LandmarkSet,
    second: LandmarkSet,
    grid: Grid,
    options: FitOptions | None = None,
    *,
    points: tuple[int, int] = (50, 50),
    progress: Progress | None = None,
) -> RaterComparison:
    """Compare the clicks at the same sites, and the maps fitted alike to either set.

    Parameters
    ----------
    first, second : LandmarkSet
    grid : Grid
        The fixed image's: its slices are where the maps are compared.
    options : FitOptions, optional
        Of both fits.
    points : (int, int)
        Points along y and x of each slice.
    progress : Progress, optional

    Raises
    ------
    FitError
        If the raters have no site in common.
    """
    sites = compare_sites(first, second)
    fault = ""
    try:
        fits = [fit(m.pairs(), options or FitOptions()) for m in (first, second)]
        maps = inter_rater(fits[0].transform, fits[1].transform, grid, points, progress)
    except BridgecorrError as error:
        maps, fault = None, str(error)
    return RaterComparison(sites, maps, fault)


def report_raters(
    found: RaterComparison,
    out: Path,
    *,
    names: tuple[str, str] = ("first rater", "second rater"),
    image: str = "",
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the comparison as one HTML page with pictures.

    Parameters
    ----------
    found : RaterComparison
    out : Path
        The ``.html`` file; it appears whole or not at all.
    names : (str, str)
        Of the raters, or of their files.
    image : str
        Name of the fixed image.
    facts : mapping, optional
        Lines under "how this was made".

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    versions = ", ".join(f"{k} {v}" for k, v in library_versions().items())
    write_rater_report(
        found.sites,
        found.maps,
        out,
        fault=found.fault,
        names=names,
        image=image,
        facts={**(facts or {}), "versions": versions},
    )
