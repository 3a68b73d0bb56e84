"""Where voxels are: sampling grids without pixels. World is (z, y, x) in micrometres."""

from .grid import Grid
from .placement import Orientation, Placement

__all__ = ["Grid", "Orientation", "Placement"]
