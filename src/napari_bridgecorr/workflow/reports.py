"""The report of a registration, from the images, the fit and the table's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fitting import Fit
from ..image import SpatialImage
from ..io.table_file import read_table, table_metadata
from ..progress import Progress, Silent
from ..report import ReportContents, write_report
from ..transform import Transform
from ..versions import library_versions


def report(
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
    out: Path,
    *,
    fit: Fit | None = None,
    table: Path | None = None,
    truth_errors_um: NDArray[np.float64] | None = None,
    facts: dict[str, str] | None = None,
    title: str = "",
    progress: Progress | None = None,
) -> None:
    """Write one self-contained HTML file with the pictures of a registration.

    Parameters
    ----------
    fixed, moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    out : Path
    fit : Fit, optional
        Adds residual arrows and the leave-one-out plot.
    table : Path, optional
        A Parquet voxel table of this registration: adds density against MRI and predicted error.
    truth_errors_um : (n,) float64, optional
        Target registration errors, where the truth is known.
    facts : dict, optional
        Lines added under "how this was made".
    title : str, optional
    progress : Progress, optional

    Raises
    ------
    ReadError, WriteError
    """
    columns, n_rows, names = _table_part(table)
    facts = {
        "fixed image": str(fixed.source.path.name),
        "moving image": str(moving.source.path.name),
        **(facts or {}),
        "versions": ", ".join(f"{k} {v}" for k, v in library_versions().items()),
    }
    write_report(
        ReportContents(
            title=title or f"{moving.name} registered to {fixed.name}",
            fixed=fixed,
            moving=moving,
            transform=transform,
            fit=fit,
            table=columns,
            fixed_columns=names["fixed"],
            moving_columns=names["moving"],
            n_rows=n_rows,
            facts=facts,
            truth_errors_um=truth_errors_um,
        ),
        out,
        progress or Silent(),
    )


def _table_part(
    table: Path | None,
) -> tuple[dict[str, NDArray[Any]] | None, int | None, dict[str, tuple[str, ...]]]:
    if table is None:
        return None, None, {"fixed": (), "moving": ()}
    metadata = table_metadata(table)
    columns, n_rows = read_table(table, sample=True)
    names = metadata["channel_columns"]
    return columns, n_rows, {k: tuple(names[k]) for k in ("fixed", "moving")}
