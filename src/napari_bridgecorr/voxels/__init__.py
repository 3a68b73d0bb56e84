"""The voxel table: one row per fixed voxel, one column per thing an instrument saw there."""

from .table import Column, TableOptions, VoxelTable

__all__ = ["Column", "TableOptions", "VoxelTable"]
