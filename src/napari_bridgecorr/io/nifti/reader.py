"""NIfTI-1, NIfTI-2 and ANALYZE pairs as images.

World x, y, z = 1000 x (R, A, S) of the file's sform or qform, listed (z, y, x). The file's array
axes (i, j, k) are our (x, y, z).
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from ...errors import GeometryError, ReadError, one_line
from ...geometry import Grid
from ...image import Channel, Source, SpatialImage
from ..lazy import Shape5, lazily, plane_chunks
from ..reader import Claim
from ..size_check import said_of_size
from .file import ANALYZE, read_nifti_head, require_complete
from .header import (
    MEND,
    array_sizes,
    data_offset,
    header_metadata,
    intent_warnings,
    is_label,
    place_voxels,
    scaling,
    time_step_s,
)
from .library import HeaderDataError, StoredVoxels, parse_header, stored_dtype
from .notes import exact_affine, our_notes
from .pixels import NiftiPixels


class NiftiReader:
    """Reader of NIfTI-1, NIfTI-2 and ANALYZE files (see :class:`~..reader.Reader`)."""

    format_name = "NIfTI"
    patterns = ("*.nii", "*.nii.gz", "*.hdr", "*.img", "*.hdr.gz", "*.img.gz")

    def claim(self, path: Path) -> Claim:
        """Claim by name; a .hdr or .img, which other formats use too, by its content as well."""
        if path.is_dir():
            return Claim(False, "it is a folder")
        name = path.name.lower().removesuffix(".gz")
        if name.endswith(".nii"):
            return Claim(True, "the name ends in .nii or .nii.gz")
        if not name.endswith((".hdr", ".img")):
            return Claim(False, "the name does not end in .nii, .nii.gz, .hdr or .img")
        try:
            read_nifti_head(path)
        except ReadError as error:
            return Claim(False, error.fault)
        return Claim(True, "the header is a NIfTI or ANALYZE header")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The file's one image, lazily.

        Raises
        ------
        ReadError
            If the file is damaged, truncated, empty, mislabelled or absurd.
        """
        head = read_nifti_head(path)
        header, warnings = parse_header(head)
        sizes = array_sizes(path, header)
        dtype = stored_dtype(path, header)
        offset = data_offset(path, header)
        require_complete(head.data_path, offset + prod(sizes) * dtype.itemsize)
        notes = our_notes(head.comments)
        try:
            placed = place_voxels(header, sizes)
            grid = Grid((sizes[2], sizes[1], sizes[0]), exact_affine(placed.affine_um, notes))
        except (GeometryError, HeaderDataError, ValueError) as error:
            raise ReadError(
                path, f"has an impossible geometry ({one_line(error)})", MEND
            ) from error
        stored = StoredVoxels(path, head.data_path, sizes, dtype, offset)
        pixels = NiftiPixels(path, stored, scaling(path, header, dtype), is_label(header, dtype))
        size_warnings, size_metadata = said_of_size(grid)
        warnings += [*placed.warnings, *intent_warnings(header, dtype), *size_warnings]
        image = SpatialImage(
            levels=(lazily(pixels, plane_chunks(pixels.shape, pixels.dtype.itemsize)),),
            grids=(grid,),
            channels=_channels(pixels, notes),
            source=Source(
                path=path,
                format="ANALYZE 7.5" if head.version == ANALYZE else f"NIfTI-{head.version}",
                axes=_axes(header, pixels.shape),
                role="labels" if is_label(header, dtype) else "image",
            ),
            voxel_size_known=placed.voxel_size_known,
            time_step_s=time_step_s(header) if sizes[3] > 1 else None,
            metadata={**header_metadata(header, dtype), **size_metadata},
            warnings=tuple(warnings),
        )
        return (image,)


def _axes(header: Any, shape: Shape5) -> str:
    has_z = int(header["dim"][0]) >= 3
    return ("t" if shape[0] > 1 else "") + ("c" if shape[1] > 1 else "") + ("z" * has_z) + "yx"


def _channels(pixels: NiftiPixels, notes: dict[str, Any]) -> tuple[Channel, ...]:
    n_channels = pixels.shape[1]
    if len(pixels.samples) == n_channels:
        named = zip(pixels.samples, pixels.sample_colours, strict=True)
        return tuple(Channel(name, colour) for name, colour in named)
    if pixels.samples:
        n_samples = len(pixels.samples)
        return tuple(
            Channel(f"C{number // n_samples} {pixels.samples[number % n_samples]}")
            for number in range(n_channels)
        )
    noted = notes.get("channels")
    if isinstance(noted, list) and len(noted) == n_channels:
        try:
            return tuple(Channel(str(ch["name"]), _colour(ch["colour"])) for ch in noted)
        except (KeyError, TypeError):
            pass  # somebody else's comment: the names below serve
    return tuple(Channel(f"C{number}") for number in range(n_channels))


def _colour(noted: Any) -> str | None:
    return noted if isinstance(noted, str) else None
