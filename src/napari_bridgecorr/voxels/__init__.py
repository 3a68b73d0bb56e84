"""The voxel table: one row per fixed voxel, one column per thing an instrument saw there."""

from .table import Column, PointColumn, TableOptions, VoxelTable

__all__ = ["Column", "PointColumn", "TableOptions", "VoxelTable"]
