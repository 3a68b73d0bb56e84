"""Where voxels are: sampling grids without pixels. World is (z, y, x) in micrometres."""

from .grid import Grid

__all__ = ["Grid"]
