"""Names of images that are no paths: addresses on a network."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_SCHEMES = ("http", "https", "s3", "gs", "gcs", "az", "abfs", "memory")
# one slash where a path has been made of the address and given back
_ADDRESS = re.compile(rf"({'|'.join(_SCHEMES)}|file):/{{1,3}}(.*)", re.IGNORECASE | re.DOTALL)


class Url(str):
    """An address such as ``https://host/image.zarr``."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """What stands before ``://``, in small letters."""
        return self.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """Last part of its path, or the host."""
        parts = urlsplit(self)
        return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc or str(self)


def as_url(text: str) -> Url | None:
    """`text` as an address on a network; None if it is none.

    An address that went through a path, and so has lost a slash, is mended.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or found[1].lower() == "file":
        return None
    return Url(f"{found[1].lower()}://{found[2].lstrip('/')}")


def local_part(text: str) -> str:
    """The path in ``file:///path``; other texts as they are."""
    found = _ADDRESS.fullmatch(text)
    if found is None or found[1].lower() != "file":
        return text
    # a drive letter follows the slash on Windows
    path = unquote(found[2])
    return path if re.match(r"[A-Za-z]:", path) else "/" + path
