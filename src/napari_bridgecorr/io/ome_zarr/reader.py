"""Reader of OME-Zarr 0.1 to 0.6: images, their labels, series, plates and wells.

What a group lists is opened in turn; what cannot be opened is left out with a warning, as long as
something can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ReadError
from ...image import Source, SpatialImage
from ..location import Url
from ..reader import Claim
from .files import Folder, Unreadable, folder_at
from .metadata import parse_label, plain_name, safe_path
from .multiscale import Opening, read_multiscales
from .store import attributes
from .transforms import Misdescribed
from .write import write_ome_zarr

__all__ = ["OmeZarrReader", "write_ome_zarr"]

_MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_ZIP_ENDINGS = (".ozx", ".zarr.zip", ".zarr")
_COPY = "copy the whole image again from its source"
_DEEPEST = 4
_MOST_CHILDREN = 50_000
_MOST_WELLS = 5000
_MOST_NAMED = 5
_REQUESTS = 16


class OmeZarrReader:
    """Reader of OME-Zarr: one image per multiscale, then the label images."""

    format_name = "OME-Zarr"
    patterns = ("*.zarr", "*.ome.zarr", "*.ozx", "*.zarr.zip")

    def claim(self, path: Path) -> Claim:
        """Whether the folder is a Zarr group, by its name and what lies in it."""
        name = path.name.lower()
        if name.endswith(_ZIP_ENDINGS):
            return Claim(True, "the name is that of an OME-Zarr")
        try:
            if path.is_dir() and any((path / name).is_file() for name in _MARKERS):
                return Claim(True, "Zarr metadata is in the folder")
            if name.endswith(".zip") and path.is_file() and _holds_zarr(path):
                return Claim(True, "Zarr metadata is in the zip file")
        except OSError as error:
            return Claim(False, f"it cannot be opened ({error.strerror})")
        return Claim(False, "it is no folder with Zarr metadata")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every image of the group, lazily.

        Parameters
        ----------
        path : Path
            A folder, or a zip file of one.

        Raises
        ------
        ReadError
            If it is no OME-Zarr, is damaged, or describes itself absurdly.
        """
        if not path.exists():
            raise ReadError(path, "there is no such folder", "check the path")
        try:
            return _read(Source(path, "OME-Zarr"), folder_at(path))
        except Unreadable as error:
            raise ReadError(
                path, f"it is not an OME-Zarr folder: {error}", "unpack it first"
            ) from error
        except OSError as error:
            raise ReadError(path, str(error), "check that the folder can be read") from error

    def read_url(self, url: Url) -> tuple[SpatialImage, ...]:
        """Every image of a group that is served over a network, lazily.

        Raises
        ------
        ReadError
            As :meth:`read`, or if the server cannot be reached.
        """
        from .remote import remote_folder

        return _read(Source(Path(url.name), "OME-Zarr", url=str(url)), remote_folder(url))


def _holds_zarr(path: Path) -> bool:
    try:
        folder = folder_at(path)
    except Unreadable:
        return False
    return any(name in _MARKERS for name, _ in folder.names())


def _read(source: Source, folder: Folder) -> tuple[SpatialImage, ...]:
    images = _read_group(Opening(source), folder, "")
    return tuple(
        replace(image, source=replace(image.source, image_index=i))
        for i, image in enumerate(_images_first(images))
    )


def _images_first(images: Sequence[SpatialImage]) -> list[SpatialImage]:
    """Images of role "image" come first; otherwise as the file lists them."""
    return sorted(images, key=lambda image: image.source.role != "image")


def _read_group(opening: Opening, group: Folder, name: str) -> list[SpatialImage]:
    """Images of a group; `name` leads to it from the root, for the images' names."""
    place = opening.source.location
    # a plate's wells' fields are two deep; a folder linked into itself has no end
    if name.count("/") > _DEEPEST:
        raise ReadError(place, "its groups are nested without end", "open one of them")
    try:
        found = attributes(group)
    except Unreadable as error:
        raise ReadError(place, str(error), "open the folder that holds the OME metadata") from error
    ome = found.get("ome", found)
    if not isinstance(ome, Mapping):
        raise ReadError(place, "its OME metadata is no JSON object", _COPY)
    if "multiscales" in ome:
        return _image_and_labels(opening, group, ome, found.get("bridgecorr"))
    if "plate" in ome:
        return _plate(opening, group, ome["plate"], name)
    if "well" in ome:
        fields = [e.get("path") for e in _mappings(ome["well"], "images")]
        return _children(opening, group, fields, name, _read_group)
    if "bioformats2raw.layout" in ome:
        return _children(opening, group, _series(group), name, _read_group)
    if "labels" in ome:
        images, faults = _labels(opening, group, ome)
        return _warned(images, faults, place)
    if isinstance(ome.get("scene"), Mapping):
        inner = [n for n, is_folder in sorted(group.names()) if is_folder]
        return _children(opening, group, inner, name, _read_group)
    raise ReadError(place, "it has no OME-Zarr metadata (multiscales)", "open an OME-Zarr image")


def _image_and_labels(
    opening: Opening, group: Folder, ome: Mapping[str, Any], own: Any
) -> list[SpatialImage]:
    images = read_multiscales(opening, group, ome, own)
    if "image-label" in ome:
        try:
            return [_as_labels(image, ome, "") for image in images]
        except Misdescribed as error:
            raise ReadError(opening.source.location, str(error), _COPY) from error
    folder = group / "labels"
    try:
        found = attributes(folder)
    except (Unreadable, OSError):
        return images  # no labels
    inner = found.get("ome", found)
    labels, faults = _labels(opening, folder, inner if isinstance(inner, Mapping) else {})
    return _warned([*images, *labels], faults, opening.source.location)


def _as_labels(image: SpatialImage, ome: Mapping[str, Any], name: str) -> SpatialImage:
    if image.dtype.kind not in "iub":
        raise Misdescribed(f"labels are whole numbers, not {image.dtype}")
    source = replace(image.source, image_name=name or image.source.image_name, role="labels")
    return replace(
        image, source=source, metadata={**image.metadata, **parse_label(ome.get("image-label"))}
    )


def _labels(
    opening: Opening, folder: Folder, ome: Mapping[str, Any]
) -> tuple[list[SpatialImage], list[str]]:
    """Label images that a ``labels`` group lists, and why others cannot be opened."""
    faults: list[str] = []
    labels: list[SpatialImage] = []
    listed = ome.get("labels")
    for name in _once(listed[:_MOST_WELLS] if isinstance(listed, list) else []):
        try:
            group = folder / safe_path(name)
            found = attributes(group)
            inner = found.get("ome", found)
            inner = inner if isinstance(inner, Mapping) else {}
            for image in read_multiscales(opening, group, inner, found.get("bridgecorr")):
                labels.append(_as_labels(image, inner, plain_name(str(name))))
        except (Unreadable, Misdescribed, OSError) as error:
            faults.append(f"the labels {name!r} are left out: {error}")
        except ReadError as error:
            faults.append(f"the labels {name!r} are left out: {error.fault}")
    return labels, faults


def _plate(opening: Opening, group: Folder, plate: Any, name: str) -> list[SpatialImage]:
    """Every field of every well, named as ``A/1/0``."""
    wells = [entry.get("path") for entry in _mappings(plate, "wells")]
    if len(wells) > _MOST_WELLS:
        fault = f"its plate lists {len(wells)} wells, which is absurd"
        raise ReadError(opening.source.location, fault, _COPY)
    opening.is_plate = True
    images = _children(opening, group, wells, name, _well)
    places = {image.grid.index_to_world[:3, 3].tobytes() for image in images}
    n_fields = sum(image.source.role == "image" for image in images)
    if n_fields > 1 and len(places) < n_fields:
        note = (
            "the file says where pixels lie in a field, not where fields lie in the plate: "
            "fields overlap in one world"
        )
        images[0] = replace(images[0], warnings=(*images[0].warnings, note))
    return images


def _well(opening: Opening, group: Folder, name: str) -> list[SpatialImage]:
    """Fields of a well. A well without metadata of its own has the fields that lie in it."""
    try:
        found = attributes(group)
    except Unreadable:
        found = {}
    ome = found.get("ome", found)
    well = ome.get("well") if isinstance(ome, Mapping) else None
    fields: list[Any] = [entry.get("path") for entry in _mappings(well, "images")]
    if not fields:
        fields = sorted(n for n, is_folder in group.names() if is_folder and n.isdigit())
    if not fields:
        raise ReadError(opening.source.location, "it lists no fields", _COPY)
    return _children(opening, group, fields, name, _field)


def _field(opening: Opening, group: Folder, name: str) -> list[SpatialImage]:
    """One field, its images named by their place in the plate."""
    images = _read_group(opening, group, name)
    renamed = []
    for image in images:
        own = image.source.image_name if image.source.role == "labels" else ""
        full = f"{name} {own}".strip()
        renamed.append(replace(image, source=replace(image.source, image_name=full)))
    return renamed


def _mappings(document: Any, key: str) -> list[Mapping[str, Any]]:
    """JSON objects of the list under `key`."""
    listed = document.get(key) if isinstance(document, Mapping) else None
    return [e for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []


def _series(group: Folder) -> list[Any]:
    try:
        found = attributes(group / "OME")
    except (Unreadable, OSError):
        found = {}
    ome = found.get("ome", found)
    series = ome.get("series") if isinstance(ome, Mapping) else None
    if isinstance(series, list) and series:
        return series
    numbered = [n for n, is_folder in group.names() if is_folder and n.isascii() and n.isdigit()]
    if not numbered and group.files.is_remote:
        # a server that lists nothing has at least the first
        numbered = ["0"]
    return sorted(numbered, key=lambda n: (len(n), n))


def _children(
    opening: Opening,
    group: Folder,
    names: Sequence[Any],
    prefix: str,
    read: Callable[[Opening, Folder, str], list[SpatialImage]],
) -> list[SpatialImage]:
    """Images of several groups; one that cannot be read is left out with a warning."""
    place = opening.source.location
    if len(names) > _MOST_CHILDREN:
        raise ReadError(place, f"it lists {len(names)} images, which is absurd", _COPY)

    names = _once(names)

    def one(name: Any) -> list[SpatialImage] | str:
        try:
            path = safe_path(name)
            return read(opening, group / path, f"{prefix}/{path}".strip("/"))
        except (Misdescribed, Unreadable) as error:
            return f"image {name!r} is left out: {error}"
        except ReadError as error:
            return f"image {name!r} is left out: {error.fault}"

    if group.files.is_remote and len(names) > 1 and not prefix:
        with ThreadPoolExecutor(_REQUESTS) as pool:
            answers = list(pool.map(one, names))
    else:
        answers = [one(name) for name in names]
    images = [image for answer in answers if not isinstance(answer, str) for image in answer]
    faults = [answer for answer in answers if isinstance(answer, str)]
    if len(faults) > _MOST_NAMED:
        rest = len(faults) - _MOST_NAMED
        faults = [*faults[:_MOST_NAMED], f"{rest} more images are left out"]
    return _warned(images, faults, place)


def _once(names: Sequence[Any]) -> list[Any]:
    """The names, each once."""
    return list({str(name): name for name in names}.values())


def _warned(images: list[SpatialImage], faults: Sequence[str], place: str) -> list[SpatialImage]:
    """The images, the first with the warnings; a ReadError where there is none."""
    if not images:
        raise ReadError(place, faults[0] if faults else "it holds no image", _COPY)
    if not faults:
        return images
    return [replace(images[0], warnings=(*images[0].warnings, *faults)), *images[1:]]
