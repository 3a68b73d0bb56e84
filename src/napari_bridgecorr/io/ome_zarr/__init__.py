"""OME-Zarr. Only `store` imports zarr."""

from .reader import OmeZarrReader
from .write import write_ome_zarr

__all__ = ["OmeZarrReader", "write_ome_zarr"]
