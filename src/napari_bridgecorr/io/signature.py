"""What a file is by its first bytes, whatever its name says. Knows no format's library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 560


@dataclass(frozen=True)
class Signature:
    """A kind of content and the file name ending that belongs to it.

    Parameters
    ----------
    kind : str
        Name of the format with its article's noun, as ``TIFF``.
    ending : str
        The ending under which the project reads it, or "" where it does not read it.
    """

    kind: str
    ending: str


_PREFIXES = (
    (b"II*\x00", Signature("TIFF", ".tif")),
    (b"MM\x00*", Signature("TIFF", ".tif")),
    (b"II+\x00", Signature("TIFF", ".tif")),
    (b"MM\x00+", Signature("TIFF", ".tif")),
    (b"ZISRAWFILE", Signature("CZI", ".czi")),
    (b"\x1f\x8b", Signature("gzip", "")),
    (b"\x89HDF\r\n\x1a\n", Signature("HDF5", "")),
    (b"\x89PNG\r\n\x1a\n", Signature("PNG", ".png")),
    (b"\xff\xd8\xff", Signature("JPEG", ".jpg")),
    (b"PK\x03\x04", Signature("ZIP", "")),
    (b"%PDF", Signature("PDF", "")),
    (b"NRRD", Signature("NRRD", ".nrrd")),
)


def signature_of(head: bytes) -> Signature | None:
    """The kind of content that begins with `head` (:data:`HEAD_BYTES` suffice), if known."""
    for prefix, signature in _PREFIXES:
        if head.startswith(prefix):
            return signature
    # NIfTI states its magic at the end of the header: 344 in version 1, 4 in version 2
    if head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2"):
        return Signature("NIfTI", ".nii")
    if head[128:132] == b"DICM":
        return Signature("DICOM", ".dcm")
    return None


def read_head(path: Path) -> bytes:
    """The first bytes of a file. Raises OSError."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def mislabelled(head: bytes, expected: str) -> tuple[str, str]:
    """Fault and remedy for a file that is not what its name promises.

    Parameters
    ----------
    head : bytes
        Its first bytes.
    expected : str
        The format that the name promises, as ``NIfTI``.

    Returns
    -------
    (str, str)
        For :class:`~napari_bridgecorr.errors.ReadError`.
    """
    if not head:
        return "is empty (0 bytes)", "copy or export it again"
    found = signature_of(head)
    if found is None:
        return (
            f"is not a {expected} file (its first bytes are of no known image format)",
            "check that the file is what its name says and that its copy is complete",
        )
    article = "an" if found.kind[0] in "AEHIN" and found.kind.isupper() else "a"
    fault = f"is not a {expected} file (its first bytes are those of {article} {found.kind} file)"
    if found.ending:
        return fault, f"rename it to end in {found.ending} to have it read as {found.kind}"
    return fault, f"convert it to a format that is read here, or find the real {expected} file"
