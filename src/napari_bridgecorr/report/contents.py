"""What a report is about. Values only: nothing is read or drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..fitting import Fit
from ..image import SpatialImage
from ..transform import Transform

ERROR_COLUMN = "registration_error_um"


@dataclass(frozen=True, eq=False)
class ReportContents:
    """Everything that a report tells.

    Parameters
    ----------
    title : str
        Headline of the page.
    fixed, moving : SpatialImage
        Lazy; only single planes of them are computed.
    transform : Transform
        Fixed world to moving world.
    fit : Fit or None
        How the transform came from landmarks; None for a transform that was given.
    table : mapping of str to 1-D arrays, or None
        Columns of the voxel table by name.
    fixed_columns, moving_columns : tuple of str
        Names in `table` of the fixed and the moving channels, in the channels' order.
    n_rows : int or None
        Rows of the whole table (`table` may hold only some of them).
    facts : mapping of str to str
        Versions, file names, options, session id.
    truth_errors_um : (n,) float64 or None
        Target registration errors (um) where the truth is known, as in a phantom.
    fixed_channel, moving_channel : int
        Channels that the slices show.

    Raises
    ------
    GeometryError
        If a channel does not exist, or a named column is not in the table or as long as the others.
    """

    title: str
    fixed: SpatialImage
    moving: SpatialImage
    transform: Transform
    fit: Fit | None = None
    table: Mapping[str, NDArray[Any]] | None = None
    fixed_columns: tuple[str, ...] = ()
    moving_columns: tuple[str, ...] = ()
    n_rows: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    truth_errors_um: NDArray[np.float64] | None = None
    fixed_channel: int = 0
    moving_channel: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        self.fixed.channel_index(self.fixed_channel)
        self.moving.channel_index(self.moving_channel)
        if self.table is None:
            return
        for name in (*self.fixed_columns, *self.moving_columns):
            if name not in self.table:
                raise GeometryError(f"the table has no column {name!r}; it has {list(self.table)}")
        if len({len(column) for column in self.table.values()}) > 1:
            raise GeometryError("the columns of the table are not equally long")
