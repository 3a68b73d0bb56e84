"""Reads a transform file of any kind."""

from __future__ import annotations

from pathlib import Path

from ...errors import GeometryError, ReadError, one_line
from ...geometry.anatomical import AnatomicalFrame
from .content import format_of
from .own_json import read_own_json
from .transform_file import TransformFile

KINDS = (
    "a bridgecorr .json, an ITK, Slicer or ANTs .tfm, .txt, .h5 or .mat, a displacement field "
    "(.nii.gz, .nrrd, .mha), an elastix TransformParameters file or an OME-Zarr 0.6 scene"
)


def is_transform_file(path: Path) -> bool:
    """Whether `path` holds a transform, by its content. Never raises."""
    return format_of(path) is not None


def read_transform(path: Path, frame: AnatomicalFrame = "LPS") -> TransformFile:
    """Read a transform file of any kind, recognised by its content.

    Parameters
    ----------
    path : Path
        A file, or the folder of an OME-Zarr scene.
    frame : {"LPS", "RAS"}
        What x, y, z in mm mean in ITK's, ANTs' and elastix's transforms of three dimensions. They
        are LPS where the images were NIfTI, DICOM or NRRD. Where they were TIFF or another format
        without anatomical directions, ITK's axes are the image's own: "RAS" keeps their signs.

    Returns
    -------
    TransformFile
        Its transform maps fixed world to moving world, (z, y, x) in um, as those programs' do.

    Raises
    ------
    ReadError
        If it is of no kind that is read here, damaged, truncated or absurd.
    """
    kind = format_of(path)
    try:
        return _read(path, kind, frame)
    except GeometryError as error:
        raise ReadError(
            path, f"it makes no sense ({one_line(error)})", "export the transform again"
        ) from error
    except MemoryError as error:
        raise ReadError(path, "it does not fit into memory", "sample it more coarsely") from error


def _read(path: Path, kind: str | None, frame: AnatomicalFrame) -> TransformFile:
    if kind in ("itk text", "itk mat", "itk hdf5"):
        from .itk_hdf5 import read_itk_hdf5
        from .itk_maps import transform_file
        from .itk_text import read_itk_mat, read_itk_text

        read, name = {
            "itk text": (read_itk_text, "ITK text"),
            "itk mat": (read_itk_mat, "ITK MATLAB"),
            "itk hdf5": (read_itk_hdf5, "ITK HDF5"),
        }[kind]
        return transform_file(path, read(path), name, frame)
    if kind == "elastix":
        from .elastix import read_elastix

        return read_elastix(path, frame)
    if kind == "vector image":
        from .vector_image import read_vector_image

        return read_vector_image(path)
    if kind == "ome-zarr transform":
        from .ome_zarr_scene import read_ome_zarr_transform

        return read_ome_zarr_transform(path)
    if kind is None and _is_foreign(path):
        raise ReadError(path, "it is no transform that is read here", f"give {KINDS}")
    # says best what is wrong with a file that is missing, empty or no JSON
    return read_own_json(path)


def _is_foreign(path: Path) -> bool:
    """Whether its name promises something else than this project's JSON."""
    return path.is_file() and path.stat().st_size > 0 and path.suffix.lower() != ".json"
