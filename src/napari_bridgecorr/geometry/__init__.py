"""Where voxels are: sampling grids without pixels. World is (z, y, x) in micrometres."""

from .grid import Grid
from .placement import Orientation, Placement
from .plane import Plane
from .slabs import resliced_grid, slab_grid

__all__ = ["Grid", "Orientation", "Placement", "Plane", "resliced_grid", "slab_grid"]
