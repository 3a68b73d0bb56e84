"""Sessions made and replayed: the same document gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BridgecorrError, SessionError, WriteError
from ..fitting import ErrorModel, Fit, FitOptions, error_model, fit
from ..image import SpatialImage
from ..io.landmark_files import write_landmarks
from ..io.registry import open_image
from ..io.transform_files import TransformFile, fit_document, read_transform, write_document
from ..landmarks import LandmarkSet
from ..progress import Progress, Silent
from ..session import (
    ImageRef,
    LandmarkSetRecord,
    MaskRef,
    Output,
    RegistrationRecord,
    Session,
    fingerprint,
    load_session,
)
from ..transform import Transform, transform_from_dict
from ..versions import library_versions
from ..voxels import TableOptions
from .images import warp
from .reslice import write_recorded
from .tables import tabulate, transform_error

TruthErrors = Callable[[Fit], NDArray[np.float64]]

# a replay on another machine may round differently, a different spline does not hide below this
_SAME_UM = 1e-6
_WITHOUT_FIT = ("reslice", "align", "refine_landmarks")


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a replay did.

    Parameters
    ----------
    session : Session
        With the transforms and diagnostics of this run.
    fits : mapping of str to Fit
        By registration id.
    written : tuple of Path
    warnings : tuple of str
    """

    session: Session
    fits: Mapping[str, Fit]
    written: tuple[Path, ...]
    warnings: tuple[str, ...]


def new_session(
    fixed: ImageRef,
    moving: ImageRef,
    landmarks: LandmarkSet,
    options: FitOptions | None = None,
    *,
    masks: Mapping[str, ImageRef] | None = None,
    outputs: Sequence[Output] = (),
) -> Session:
    """A session of one registration, fitted, with the files' fingerprints.

    Parameters
    ----------
    fixed, moving : ImageRef
    landmarks : LandmarkSet
    options : FitOptions, optional
    masks : mapping of str to ImageRef, optional
    outputs : sequence of Output
        With ``registration="registration"``.

    Raises
    ------
    FitError
        If the landmarks cannot be fitted.
    SessionError
        If an image's file is not there.
    """
    options = options or FitOptions()
    images = (fixed, moving, *(masks or {}).values())
    session = Session(
        images=tuple(replace(i, fingerprint=fingerprint(Path(i.path))) for i in images),
        landmark_sets=(LandmarkSetRecord("landmarks", tuple(landmarks)),),
        registrations=(
            RegistrationRecord("registration", fixed.id, moving.id, "landmarks", options),
        ),
        masks=tuple(MaskRef(name, ref.id) for name, ref in (masks or {}).items()),
        outputs=tuple(outputs),
    )
    return _with_fits(session, {"registration": fit(landmarks.pairs(), options)})


def run_session(
    path: Path,
    progress: Progress | None = None,
    *,
    truth_errors_um: TruthErrors | None = None,
) -> RunResult:
    """Fit every registration of a session again and write all its outputs.

    Parameters
    ----------
    path : Path
        The session's JSON file; outputs are written beside it.
    progress : Progress, optional
    truth_errors_um : callable, optional
        Of the fit; gives (n,) target registration errors for the report (phantoms only).

    Raises
    ------
    SessionError
        If an image has changed since, or an output is not understood.
    ReadError, FitError, WriteError
    """
    progress = progress or Silent()
    session = load_session(path)
    folder = path.resolve().parent
    _check_references(session)
    inputs = {path.resolve(), *(Path(ref.path) for ref in session.images)}
    targets = [_output_path(folder, output, inputs) for output in session.outputs]
    warnings: list[str] = []
    images = {ref.id: _open(ref) for ref in session.images}
    for image in images.values():
        warnings += [f"{image.source.path.name}: {w}" for w in image.warnings]
    fits: dict[str, Fit] = {}
    for record in session.registrations:
        result = fit(session.landmark_set(record.landmark_set).to_set().pairs(), record.options)
        fits[record.id] = result
        warnings += [*result.warnings, *_compare(record, result)]
    runner = _Runner(session, images, fits, folder, progress, truth_errors_um)
    for output, target in zip(session.outputs, targets, strict=True):
        _make_folder(target)
        said = runner.write(output, target)
        warnings += [said] if said else []
    return RunResult(_with_fits(session, fits), fits, tuple(targets), tuple(warnings))


@dataclass(frozen=True, eq=False)
class _Runner:
    session: Session
    images: Mapping[str, SpatialImage]
    fits: Mapping[str, Fit]
    folder: Path
    progress: Progress
    truth_errors_um: TruthErrors | None

    def write(self, output: Output, target: Path) -> str:
        """Write one output of the session; gives what the user should know of it."""
        said = ""
        if output.kind in _WITHOUT_FIT:
            try:
                return self._write_without_fit(output, target)
            except (TypeError, ValueError, KeyError) as error:
                raise _not_understood(output, error) from error
        record = self.session.registration(output.registration)
        result = self.fits[record.id]
        try:
            match output.kind:
                case "landmarks":
                    _no_options(output.options)
                    landmarks = self.session.landmark_set(record.landmark_set)
                    write_landmarks(landmarks.to_set(), target)
                case "transform":
                    _no_options(output.options)
                    write_document(fit_document(result), target)
                case "warp":
                    self._write_warp(record, result, target, output.options)
                case "table":
                    self._write_table(record, result, target, output.options)
                case "report":
                    self._write_report(record, result, target, output.options)
                case "refine":
                    said = self._write_refined(record, result, target, output)
        except (TypeError, ValueError) as error:
            raise _not_understood(output, error) from error
        return said

    def _write_refined(
        self, record: RegistrationRecord, result: Fit, target: Path, output: Output
    ) -> str:
        from .refine_session import write_refined  # loads all of refinement

        kept = write_refined(
            output,
            result,
            record.options,
            (self.images[record.fixed], self.images[record.moving]),
            lambda name: self.images[name],
            target,
            self.progress,
        )
        return f"{output.path}: {kept}" if kept else ""

    def _write_without_fit(self, output: Output, target: Path) -> str:
        image_of = self.images.__getitem__
        if output.kind == "reslice":
            write_recorded(output, image_of, target, self.progress)
            return ""
        from .pair_session import write_aligned, write_refined_landmarks  # loads refinement

        if output.kind == "refine_landmarks":
            write_refined_landmarks(output, self.session, image_of, target, self.progress)
            return ""
        said = write_aligned(output, image_of, target, self.progress)
        return f"{output.path}: {said}" if said else ""

    def _write_warp(
        self, record: RegistrationRecord, result: Fit, target: Path, options: dict[str, Any]
    ) -> None:
        fixed, moving = self.images[record.fixed], self.images[record.moving]
        through, rest = self._through(result, options)
        warp(fixed, moving, through.transform, target, progress=self.progress, **rest)

    def _write_table(
        self, record: RegistrationRecord, result: Fit, target: Path, options: dict[str, Any]
    ) -> None:
        through, rest = self._through(result, options)
        tabulate(
            self.images[record.fixed],
            self.images[record.moving],
            through.transform,
            target,
            error=through.error(record.options.dimensions),
            masks={m.name: self.images[m.image] for m in self.session.masks},
            options=TableOptions(**rest),
            metadata={"session": self.session.id, **through.record()},
            progress=self.progress,
        )

    def _write_report(
        self, record: RegistrationRecord, result: Fit, target: Path, options: dict[str, Any]
    ) -> None:
        from .reports import report  # loads Matplotlib

        through, rest = self._through(result, options)
        table = rest.get("table")
        _no_options({k: v for k, v in rest.items() if k not in ("table", "title")})
        report(
            self.images[record.fixed],
            self.images[record.moving],
            through.transform,
            target,
            fit=through.fit,
            table=None if table is None else self.folder / table,
            truth_errors_um=self.truth_errors_um(result) if self.truth_errors_um else None,
            facts={"session": self.session.id},
            title=options.get("title", ""),
            progress=self.progress,
        )

    def _through(self, result: Fit, options: dict[str, Any]) -> tuple[_Through, dict[str, Any]]:
        """The map of an output: the fit's, or that of a file the session has written before."""
        rest = dict(options)
        name = rest.pop("transform", None)
        if name is None:
            return _Through(result), rest
        source = read_transform(self.folder / str(name))
        # a refinement that kept the fit's map wrote the fit
        return _Through(result if "fit" in source.document else None, source), rest


@dataclass(frozen=True, eq=False)
class _Through:
    """The map that an output goes through, and what is known of it."""

    fit: Fit | None
    source: TransformFile | None = None

    @property
    def transform(self) -> Transform:
        if self.fit is not None:
            return self.fit.transform
        return self._known().transform

    def error(self, dimensions: int) -> ErrorModel | None:
        found = self.fit
        if found is None:
            return transform_error(self._known())
        return error_model(
            found.pairs,
            found.transform,
            found.options.model,
            dimensions,
            found.noise,
            found.evidence,
        )

    def record(self) -> dict[str, Any]:
        """What a table's metadata says of it."""
        if self.fit is not None:
            return {"fit": fit_document(self.fit)["fit"]}
        return {"refine": self._known().document.get("refine")}

    def _known(self) -> TransformFile:
        if self.source is None:
            raise SessionError("an output names no map")
        return self.source


def _not_understood(output: Output, error: Exception) -> SessionError:
    return SessionError(f"the options of output {output.path!r} are not understood ({error})")


def _no_options(options: dict[str, Any]) -> None:
    if options:
        raise SessionError(f"options {sorted(options)} are not understood here")


def _open(ref: ImageRef) -> SpatialImage:
    path = Path(ref.path)
    if ref.fingerprint and fingerprint(path) != ref.fingerprint:
        raise SessionError(
            f"{path}: the image has changed since the session was saved; "
            f"put the old file back or register anew"
        )
    image = open_image(f"{path}#{ref.image_index}").part(ref.channels, ref.times)
    return image.placed(ref.placement)


def _output_path(folder: Path, output: Output, inputs: set[Path]) -> Path:
    target = (folder / output.path).resolve()
    if not target.is_relative_to(folder) or target == folder:
        raise SessionError(f"output {output.path!r} lies outside the session's folder: move it in")
    if target in inputs:
        raise SessionError(
            f"output {output.path!r} would overwrite an input of the session: rename it"
        )
    return target


def _make_folder(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            target, f"its folder cannot be made ({error.strerror})", "choose another"
        ) from error


def _check_references(session: Session) -> None:
    """Raise SessionError where a registration, mask or output names what is not there."""
    for record in session.registrations:
        session.image(record.fixed)
        session.image(record.moving)
        session.landmark_set(record.landmark_set)
    for mask in session.masks:
        session.image(mask.image)
    for output in session.outputs:
        if output.kind == "reslice":
            session.image(str(output.options.get("image", "")))
        elif output.kind in _WITHOUT_FIT:
            from .pair_session import named_images  # loads refinement

            for name in named_images(output):
                session.image(name)
            if output.kind == "refine_landmarks":
                session.landmark_set(str(output.options.get("landmark_set", "")))
        else:
            session.registration(output.registration)
        through = output.options.get("transform")
        if through is not None:
            earlier = session.outputs[: session.outputs.index(output)]
            if not any(o.path == through and o.kind in ("refine", "transform") for o in earlier):
                raise SessionError(
                    f"output {output.path!r} goes through {through!r}, which no output before it "
                    f"writes"
                )
        if output.kind == "refine":
            for key in ("fixed_mask", "moving_mask"):
                if output.options.get(key):
                    session.image(str(output.options[key]))


def _compare(record: RegistrationRecord, result: Fit) -> list[str]:
    """A warning if the fit now is not the one that the session recorded."""
    if record.transform is None:
        return []
    try:
        before = transform_from_dict(record.transform)
    except BridgecorrError as error:
        return [f"the recorded transform of {record.id!r} is not readable ({error})"]
    points = result.pairs.fixed_um
    far = float(np.max(np.abs(before.map(points) - result.transform.map(points))))
    if far <= _SAME_UM:
        return []
    return [f"registration {record.id!r} differs by {far:.3g} um from the one recorded"]


def _with_fits(session: Session, fits: Mapping[str, Fit]) -> Session:
    registrations = tuple(
        replace(
            r,
            transform=fits[r.id].transform.to_dict(),
            diagnostics=fits[r.id].diagnostics.to_dict(),
            versions=library_versions(),
        )
        for r in session.registrations
    )
    return replace(session, registrations=registrations)
