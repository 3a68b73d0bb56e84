"""What is in a file, before it is loaded; and what of it is loaded, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ReadError
from ..geometry import Orientation, Placement
from ..geometry.placement import array_directions
from ..image import DOUBTFUL_SCALE, MISSING_SCALE, SpatialImage
from ..io.location import Url
from ..io.registry import open_images, parse_image_path
from ..progress import Progress, Silent
from .kinds import Kind, kind_of

# their world is the body's; a microscope's is the stage's
_ANATOMICAL_FORMATS = ("nifti", "analyze", "dicom", "nrrd", "metaimage", "paravision", "bruker")
_MOST_WANTED = 12
_LETTERS = {"z": ("I", "S"), "y": ("P", "A"), "x": ("L", "R")}
_LETTER_WORDS = {
    "S": "superior",
    "I": "inferior",
    "A": "anterior",
    "P": "posterior",
    "R": "right",
    "L": "left",
}


@dataclass(frozen=True, eq=False)
class FileContents:
    """What a file holds. Nothing but headers has been read.

    Parameters
    ----------
    path : Path or Url
        For landmarks with the ``#N`` that was given.
    kind : {"image", "landmarks", "transform"}
    images : tuple of SpatialImage
        Every image, or the one that ``#N`` names; none unless `kind` is "image".
    """

    path: Path | Url
    kind: Kind
    images: tuple[SpatialImage, ...] = ()

    @property
    def name(self) -> str:
        """Last part of the path or address."""
        return str(self.path).rstrip("/").rpartition("/")[2] or str(self.path)

    @property
    def format_name(self) -> str:
        """Short name of the images' format; "" where there are none."""
        return self.images[0].source.format if self.images else ""


@dataclass(frozen=True)
class ImageChoice:
    """What to load of one image, and where it lies.

    Parameters
    ----------
    number : int
        Position in :attr:`FileContents.images`.
    is_wanted : bool
    placement : Placement
    channels : tuple of int or None
        All where None.
    times : (int, int) or None
        From the first up to but without the second; all where None.
    """

    number: int
    is_wanted: bool = True
    placement: Placement = field(default_factory=Placement)
    channels: tuple[int, ...] | None = None
    times: tuple[int, int] | None = None

    def of(self, image: SpatialImage) -> SpatialImage:
        """The chosen part of an image, in its place.

        Raises
        ------
        GeometryError
            If the image has no such channels or times.
        """
        return image.part(self.channels, self.times).placed(self.placement)


def open_file(name: str, progress: Progress | None = None) -> FileContents:
    """Look into a file, a folder or an address.

    Parameters
    ----------
    name : str
        As ``slide.czi``, ``slide.czi#2`` or ``https://...``.
    progress : Progress, optional

    Raises
    ------
    ReadError
        If there is nothing, nothing readable, or nothing of a kind that is read here.
    Cancelled
    """
    progress = progress or Silent()
    progress.begin("opening", 0)
    kind = kind_of(name)
    place, number = parse_image_path(name)
    if kind != "image":
        return FileContents(Path(name), kind)
    images = open_images(place)
    progress.advance()
    if number is not None:
        if number >= len(images):
            raise ReadError(place, f"has no image #{number}", f"it has {len(images)}, from #0")
        images = (images[number],)
    return FileContents(place, kind, images)


def first_choices(contents: FileContents) -> tuple[ImageChoice, ...]:
    """What is loaded unless the user says otherwise: images, not photographs of the slide.

    Of very many (the fields of a plate) only the first.
    """
    has_images = any(i.source.role == "image" for i in contents.images)
    wanted = [
        number
        for number, image in enumerate(contents.images)
        if not has_images or image.source.role in ("image", "labels")
    ]
    if len(wanted) > _MOST_WANTED:
        wanted = wanted[:1]
    return tuple(ImageChoice(n, is_wanted=n in wanted) for n in range(len(contents.images)))


def chosen_images(
    contents: FileContents, choices: tuple[ImageChoice, ...]
) -> tuple[SpatialImage, ...]:
    """The images that are wanted, with the wanted channels and times, in their places.

    Raises
    ------
    GeometryError
    """
    return tuple(c.of(contents.images[c.number]) for c in choices if c.is_wanted)


def n_bytes(image: SpatialImage, choice: ImageChoice | None = None) -> int:
    """Size in bytes of the full resolution, uncompressed, of what is chosen of an image."""
    n_times, n_channels = image.data.shape[:2]
    if choice is not None:
        n_channels = n_channels if choice.channels is None else len(choice.channels)
        n_times = n_times if choice.times is None else choice.times[1] - choice.times[0]
    return int(n_times * n_channels * image.grid.n_voxels * image.dtype.itemsize)


def is_flat(image: SpatialImage) -> bool:
    """Whether the image is a single plane."""
    return image.grid.shape[0] == 1


def is_anatomical(image: SpatialImage) -> bool:
    """Whether the world's axes are those of a body: superior, anterior, right."""
    return image.source.format.lower().startswith(_ANATOMICAL_FORMATS)


def unknown_axes(image: SpatialImage) -> tuple[bool, bool, bool]:
    """Along which of z, y, x the user must state the voxel size; z does not matter where flat."""
    z, y, x = (not known for known in image.voxel_size_known)
    return z and not is_flat(image), y, x


def doubtful_scale(image: SpatialImage) -> bool:
    """Whether the reader takes the voxel size for wrong, and the user has not answered."""
    if image.placement.spacing_um is not None:
        return False
    return any(w.startswith(DOUBTFUL_SCALE) for w in image.warnings) or bool(
        image.metadata.get("spacing_suspect")
    )


def lacks_scale(image: SpatialImage) -> bool:
    """Whether a voxel size is missing."""
    return any(w.startswith(MISSING_SCALE) for w in image.warnings)


def direction_letter(direction: str) -> str:
    """Anatomical letter of a world direction: S for ``z``, P for ``-y``."""
    return _LETTERS[direction.removeprefix("-")][not direction.startswith("-")]


def direction_word(direction: str, anatomical: bool) -> str:
    """A world direction in words: ``-y`` or ``posterior (-y)``."""
    sign = "−" if direction.startswith("-") else "+"
    text = f"{sign}{direction.removeprefix('-')}"
    return f"{_LETTER_WORDS[direction_letter(direction)]} ({text})" if anatomical else text


def orientation_text(image: SpatialImage) -> str:
    """Where the array's axes run, in short: ``S P R`` for a body, ``z, −y, x`` for a stage."""
    directions: Orientation = array_directions(image.grid)
    if is_anatomical(image):
        return " ".join(direction_letter(d) for d in directions)
    return ", ".join(d.replace("-", "−") for d in directions)
