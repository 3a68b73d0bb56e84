"""Which writer an output's name asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import WriteError
from ..image import SpatialImage
from ..progress import Progress, Silent
from .long_run import LongRun

_ENDINGS = {
    ".ome.zarr": "zarr",
    ".zarr": "zarr",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".ome.tif": "tiff",
    ".ome.tiff": "tiff",
}


def check_image_path(path: Path) -> str:
    """The kind of writer for `path`: "zarr", "nifti" or "tiff".

    Raises
    ------
    WriteError
        If the name's ending says none of them.
    """
    name = path.name.lower()
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending) and len(name) > len(ending):
            return kind
    raise WriteError(
        path,
        "its name does not say which image format to write",
        "end it in .ome.zarr, .nii.gz, .nii or .ome.tif",
    )


def write_images(
    images: Sequence[SpatialImage],
    path: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write every image of a file as one OME-Zarr (other formats hold one image).

    Raises
    ------
    WriteError
        If the name does not end in .ome.zarr or .zarr, or the folder cannot be written.
    """
    if check_image_path(path) != "zarr":
        raise WriteError(path, "this format holds one image", "end the name in .ome.zarr")
    from .ome_zarr.write import write_collection

    write_collection(images, path, progress or Silent(), run)


def write_image(
    image: SpatialImage,
    path: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write an image in the format that the name's ending asks for, block by block.

    Parameters
    ----------
    image : SpatialImage
    path : Path
    progress : Progress, optional
    run : LongRun, optional
        Which processes do it, and whether a killed run is gone on with (OME-Zarr only).

    Raises
    ------
    WriteError
        If the ending is unknown or the file cannot be written.
    """
    kind = check_image_path(path)
    if kind != "zarr" and run is not None and run.is_distributed:
        raise WriteError(
            path, "only OME-Zarr is written by several processes", "end the name in .ome.zarr"
        )
    watched = progress or Silent()
    if kind == "zarr":
        from .ome_zarr.write import write_ome_zarr

        write_ome_zarr(image, path, watched, run)
    elif kind == "nifti":
        from .nifti import write_nifti

        write_nifti(image, path, watched)
    else:
        from .tiff import write_ome_tiff

        write_ome_tiff(image, path, watched)
