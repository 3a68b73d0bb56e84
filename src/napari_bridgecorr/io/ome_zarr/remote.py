"""The only file that talks to fsspec: hierarchies that a server or an object store holds.

A server that does not answer is told within seconds, and one that sends more than it was asked for
is not believed.
"""

from __future__ import annotations

import importlib
import sys
from functools import cached_property
from typing import Any

import fsspec
from fsspec.asyn import sync

from ...errors import ReadError, one_line
from ..location import Url
from .files import Folder, Unreadable

_ANSWER_S = 10.0
_CHUNK_S = 120.0
_INSTALL = "install it with: pip install 'napari-bridgecorr[remote]'"
_NEEDED = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}


def remote_folder(url: Url) -> Folder:
    """The hierarchy at an address.

    Raises
    ------
    ReadError
        If a package is missing, or there is no answer, or nothing at the address.
    """
    files = RemoteFiles(str(url))
    try:
        answers = [files.read(name) for name in ("zarr.json", ".zattrs", ".zgroup", ".zarray")]
    except ImportError as error:
        raise ReadError(url, f"reading {url.scheme}:// needs a package ({error})", _INSTALL) from (
            error
        )
    except (OSError, Unreadable, ValueError) as error:
        raise ReadError(
            url, f"it cannot be reached ({_words(error)})", "check the address and the network"
        ) from error
    if all(answer is None for answer in answers):
        fault = "no Zarr metadata is there (neither zarr.json nor .zattrs)"
        if files.is_denied:
            fault = "the server refuses access"
        raise ReadError(url, fault, "check the address: only OME-Zarr is read over a network")
    return Folder(files)


class RemoteFiles:
    """Files below an address. Picklable."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.is_denied = False
        self._anonymous = False

    def __repr__(self) -> str:
        return f"RemoteFiles({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "is_denied": self.is_denied, "_anonymous": self._anonymous}

    @property
    def name(self) -> str:
        """Last part of the address."""
        return Url(self.url).name

    @property
    def location(self) -> str:
        """The address."""
        return self.url

    @property
    def is_remote(self) -> bool:
        """Yes."""
        return True

    @cached_property
    def _system(self) -> tuple[Any, str]:
        """fsspec's file system and the root's path in it."""
        scheme = Url(self.url).scheme
        options: dict[str, Any] = {}
        if scheme in _NEEDED:
            importlib.import_module(_NEEDED[scheme])
        if scheme in ("http", "https"):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, connect=8, sock_read=_ANSWER_S)
            options = {"client_kwargs": {"timeout": timeout}}
        elif scheme == "s3":
            limits = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 1}}
            options = {"anon": self._anonymous, "config_kwargs": limits}
        # nothing is looked up in listings that were taken earlier
        system, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)
        return system, path

    def _ask(self, method: str, key: str, seconds: float, **options: Any) -> Any:
        try:
            system, root = self._system
            path = f"{root.rstrip('/')}/{key}"
            if getattr(system, "async_impl", False):
                return sync(
                    system.loop, getattr(system, f"_{method}"), path, timeout=seconds, **options
                )
            return getattr(system, method)(path, **options)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except (ImportError, TimeoutError):
            raise
        except _faults() as error:
            return self._refused(error, method, key, seconds, options)

    def _refused(
        self, error: Exception, method: str, key: str, seconds: float, options: dict[str, Any]
    ) -> Any:
        is_s3 = Url(self.url).scheme == "s3"
        kind = type(error).__name__
        no_access = isinstance(error, PermissionError) or "Credentials" in kind
        if is_s3 and no_access and not self._anonymous:
            # public data are open to those without an account
            self._anonymous = True
            self.__dict__.pop("_system", None)
            return self._ask(method, key, seconds, **options)
        if no_access or getattr(error, "status", None) in (401, 403):
            # a store that may not be listed says so of what is not there
            self.is_denied = True
            return None
        if isinstance(error, OSError | ValueError):
            raise error
        raise OSError(_words(error)) from error

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See :class:`~.files.Files`."""
        options: dict[str, Any] = {}
        # metadata are asked for whole: their size is not known
        ranged = start != 0 or (stop is not None and stop < 2**24)
        if ranged:
            options = {"start": start, "end": stop}
        seconds = (
            _ANSWER_S
            if key.endswith(("zarr.json", ".zarray", ".zattrs", ".zgroup"))
            else (_CHUNK_S)
        )
        content = self._ask("cat_file", key, seconds, **options)
        if content is None:
            return None
        found = bytes(content)
        wanted = None if stop is None or start < 0 else stop - start
        if ranged and wanted is not None and len(found) > wanted:
            # the server does not know ranges and has sent the whole file
            return found[start:stop]
        if ranged and start < 0 and len(found) > -start:
            return found[start:]
        return found

    def size(self, key: str) -> int | None:
        """See :class:`~.files.Files`; 0 where the server does not say."""
        found = self._ask("info", key, _ANSWER_S)
        if found is None or found.get("type", "file") != "file":
            return None
        return int(found.get("size") or 0)

    def names(self, key: str) -> list[tuple[str, bool]] | None:  # noqa: ARG002
        """None: listing a store takes long, and servers often cannot."""
        return None

    def state(self, key: str) -> str:  # noqa: ARG002
        """Not known without asking."""
        return ""


def _faults() -> tuple[type[Exception], ...]:
    """What the kinds of stores that are loaded raise; each has errors of its own."""
    own = (
        ("aiohttp", "ClientError"),
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("gcsfs.retry", "HttpError"),
        ("google.auth.exceptions", "GoogleAuthError"),
        ("azure.core.exceptions", "AzureError"),
    )
    loaded = [getattr(sys.modules.get(module), name, None) for module, name in own]
    return OSError, ValueError, RuntimeError, LookupError, *(e for e in loaded if e is not None)


def _words(error: BaseException) -> str:
    text = one_line(error) or type(error).__name__
    return "no answer within some seconds" if isinstance(error, TimeoutError) else text
