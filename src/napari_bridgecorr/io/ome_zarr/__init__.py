"""OME-Zarr. Only `library` imports zarr, only `remote` fsspec."""

from .reader import OmeZarrReader
from .write import write_collection, write_ome_zarr

__all__ = ["OmeZarrReader", "write_collection", "write_ome_zarr"]
