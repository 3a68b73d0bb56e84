"""The voxel table: one row per fixed voxel, one column per thing an instrument saw there."""

from .table import Column, TableOptions, VoxelTable
from .table_file import read_table, table_metadata, write_table

__all__ = [
    "Column",
    "TableOptions",
    "VoxelTable",
    "read_table",
    "table_metadata",
    "write_table",
]
