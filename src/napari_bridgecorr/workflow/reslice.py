"""Images along a reference plane, in a file and in a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import GeometryError, ReadError
from ..geometry import Plane
from ..image import SpatialImage
from ..io.long_run import LongRun
from ..io.writers import check_image_path, write_image
from ..progress import Progress
from ..resampling import reslice, reslice_slabs
from ..session import ImageRef, Output, Session, fingerprint
from .work import device_state, image_state, with_work


@dataclass(frozen=True)
class ResliceOptions:
    """How an image is resliced.

    Parameters
    ----------
    spacing_um : (float, float, float) or None
        Along depth, y, x of the plane; what skips no voxel where None.
    depth_range_um : (float, float) or None
        Only slices at these depths from the plane.
    slab_um : float or None
        Group slices to slabs of this thickness, by overlap-weighted means.
    edge_um : (float, float, float) or None
        World point on a boundary between slabs; the plane where None.
    coverage : bool
        Add a channel of coverage (0-1) for each channel of slabs.
    least_coverage : float
        Slabs covered less are NaN.
    channel : str, int or None
        One channel; all where None.
    time : int or None
        One time point; all where None.
    interpolation : {"auto", "linear", "mean", "nearest"}
    """

    spacing_um: tuple[float, float, float] | None = None
    depth_range_um: tuple[float, float] | None = None
    slab_um: float | None = None
    edge_um: tuple[float, float, float] | None = None
    coverage: bool = False
    least_coverage: float = 0.0
    channel: str | int | None = None
    time: int | None = None
    interpolation: str = "auto"

    def __post_init__(self) -> None:
        if self.slab_um is None and (
            self.coverage or self.least_coverage or self.edge_um is not None
        ):
            raise GeometryError("coverage and edges are those of slabs: state their thickness")


def reslice_to_file(
    image: SpatialImage,
    plane: Plane,
    out: Path,
    options: ResliceOptions | None = None,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> SpatialImage:
    """Reslice all channels and times of an image along a plane and write them.

    Parameters
    ----------
    image : SpatialImage
    plane : Plane
    out : Path
        ``.ome.zarr``, ``.nii.gz``, ``.nii`` or ``.ome.tif``.
    options : ResliceOptions, optional
    progress : Progress, optional
    run : LongRun, optional
        As for :func:`~napari_bridgecorr.workflow.images.warp`.

    Returns
    -------
    SpatialImage
        The lazy result.

    Raises
    ------
    GeometryError, WriteError
    """
    check_image_path(out)
    result = resliced(image, plane, options)
    if run is not None:
        run = with_work(
            run,
            **{
                "the image": image_state(image),
                "the plane": plane.to_dict(),
                "options": asdict(options or ResliceOptions()),
                **device_state(),
            },
        )
    write_image(result, out, progress, run)
    return result


def resliced(
    image: SpatialImage,
    plane: Plane,
    options: ResliceOptions | None = None,
    *,
    for_view: bool = False,
) -> SpatialImage:
    """The same, lazily, without a file; `for_view` as for :func:`~.resampling.reslice`."""
    chosen = options or ResliceOptions()
    image = image.part(
        None if chosen.channel is None else [image.channel_index(chosen.channel)],
        None if chosen.time is None else (chosen.time, chosen.time + 1),
    )
    if chosen.slab_um is None:
        return reslice(
            image,
            plane,
            spacing_um=chosen.spacing_um,
            depth_range_um=chosen.depth_range_um,
            interpolation=chosen.interpolation,
            for_view=for_view,
        )
    return reslice_slabs(
        image,
        plane,
        chosen.slab_um,
        edge_um=chosen.edge_um,
        spacing_um=chosen.spacing_um,
        depth_range_um=chosen.depth_range_um,
        interpolation=chosen.interpolation,
        with_coverage=chosen.coverage,
        least_coverage=chosen.least_coverage,
        for_view=for_view,
    )


def reslice_output(
    image_id: str, plane: Plane, path: str, options: ResliceOptions | None = None
) -> Output:
    """What a session records of a reslicing, so that ``bridgecorr run`` repeats it.

    Parameters
    ----------
    image_id : str
        Of an image of the session.
    plane : Plane
    path : str
        Where the result goes, relative to the session's folder.
    options : ResliceOptions, optional
    """
    changed = plain_options(options or ResliceOptions())
    return Output("reslice", path, options={"image": image_id, "plane": plane.to_dict(), **changed})


def plain_options(options: ResliceOptions) -> dict[str, Any]:
    """What differs from the usual, as plain values for JSON; see :func:`options_from`."""
    usual = asdict(ResliceOptions())
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(options).items()
        if value != usual[key]
    }


def options_from(values: Mapping[str, Any]) -> ResliceOptions:
    """Options from :func:`plain_options`' values.

    Raises
    ------
    GeometryError
        If they contradict each other.
    TypeError
        If one is not understood.
    """
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return ResliceOptions(**{**values, **lists})


def reslice_session(image: ImageRef, *outputs: Output) -> Session:
    """A session of one image and its reslicings, with the file's fingerprint.

    Raises
    ------
    SessionError
        If the image's file is not there.
    """
    known = replace(image, fingerprint=fingerprint(Path(image.path)))
    return Session(images=(known,), outputs=outputs)


def write_recorded(
    output: Output,
    image_of: Callable[[str], SpatialImage],
    target: Path,
    progress: Progress | None = None,
) -> None:
    """Write the image that :func:`reslice_output` recorded.

    Raises
    ------
    ReadError
        If the recorded plane is damaged.
    TypeError
        If an option is not understood.
    """
    values: dict[str, Any] = dict(output.options)
    image = image_of(values.pop("image"))
    try:
        plane = Plane.from_dict(values.pop("plane"))
    except GeometryError as error:
        raise ReadError(output.path, str(error), "save the session again") from error
    reslice_to_file(image, plane, target, options_from(values), progress)
