"""The demonstration: a phantom is made, written to files, registered from them and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import WriteError
from ..evaluate import TargetError, target_error
from ..fitting import Fit
from ..io.czi.write import write_czi
from ..io.landmark_files import write_landmarks
from ..io.transform_files import transform_document, write_document
from ..io.writers import write_image
from ..landmarks import LandmarkSet
from ..phantom import Phantom, PhantomOptions, make_phantom
from ..progress import Progress, Silent
from ..session import ImageRef, Output, save_session
from ..transform import DisplacementField
from .replay import new_session, run_session

# the truth is smooth on the scale of hundreds of um: a field of this spacing is right to 0.2 um
_TRUTH_SPACING_UM = 50.0


@dataclass(frozen=True, eq=False)
class WrittenPhantom:
    """A phantom and the files that hold it.

    Parameters
    ----------
    phantom : Phantom
    files : mapping of str to Path
        ``two_photon`` (CZI), ``mri`` (NIfTI), ``landmarks`` and ``targets`` (landmark CSV; the
        targets are exact), ``truth`` (transform JSON, MRI to two-photon).
    """

    phantom: Phantom
    files: Mapping[str, Path]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(self.files.values())


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demonstration found.

    Parameters
    ----------
    fit : Fit
    error : TargetError
        Against the truth.
    n_rows : int
        Rows of the table.
    session, table, report : Path
    warnings : tuple of str
    """

    fit: Fit
    error: TargetError
    n_rows: int
    session: Path
    table: Path
    report: Path
    warnings: tuple[str, ...]


def phantom_options(size: str, seed: int) -> PhantomOptions:
    """The options of the ``demo`` or the ``sample`` size."""
    return PhantomOptions.sample(seed) if size == "sample" else PhantomOptions.demo(seed)


def write_phantom(
    folder: Path, options: PhantomOptions, progress: Progress | None = None
) -> WrittenPhantom:
    """Make a phantom and write its files into `folder`.

    Raises
    ------
    WriteError
        If the folder cannot be made or written to.
    """
    watch = progress or Silent()
    _make_folder(folder)
    phantom = make_phantom(options, watch)
    files = {
        "two_photon": folder / "two_photon.czi",
        "mri": folder / "mri.nii.gz",
        "landmarks": folder / "landmarks.csv",
        "targets": folder / "targets.csv",
        "truth": folder / "truth.json",
    }
    stack = phantom.two_photon
    write_czi(
        files["two_photon"],
        stack.data,
        stack.grid.voxel_size_um,
        [c.name for c in stack.channels],
        watch,
        colours=[c.colour for c in stack.channels],
    )
    write_image(phantom.mri, files["mri"], watch)
    write_landmarks(phantom.landmarks, files["landmarks"])
    targets = phantom.targets
    write_landmarks(
        LandmarkSet.from_pairs(targets.fixed_um, targets.moving_um, targets.ids), files["targets"]
    )
    write_document(transform_document(_sampled_truth(phantom)), files["truth"])
    return WrittenPhantom(phantom, files)


def run_demo(folder: Path, *, seed: int = 0, progress: Progress | None = None) -> DemoResult:
    """Make the phantom, register it from its files, write table and report, judge by the truth.

    Raises
    ------
    BridgecorrError
    """
    watch = progress or Silent()
    written = write_phantom(folder, phantom_options("demo", seed), watch)
    targets = written.phantom.targets
    session = new_session(
        ImageRef("mri", str(written.files["mri"])),
        ImageRef("two-photon", str(written.files["two_photon"])),
        written.phantom.landmarks,
        outputs=[
            Output("transform", "transform.json", "registration"),
            Output("warp", "registered.nii.gz", "registration"),
            Output("table", "voxels.parquet", "registration"),
            Output(
                "report",
                "report.html",
                "registration",
                {"table": "voxels.parquet", "title": "Two-photon registered to MRI (phantom)"},
            ),
        ],
    )
    path = folder / "session.json"
    save_session(session, path)
    result = run_session(
        path, watch, truth_errors_um=lambda fit: target_error(fit.transform, targets).distances_um
    )
    fit = result.fits["registration"]
    return DemoResult(
        fit,
        target_error(fit.transform, targets),
        written.phantom.mri.grid.n_voxels,
        path,
        folder / "voxels.parquet",
        folder / "report.html",
        result.warnings,
    )


def _sampled_truth(phantom: Phantom) -> DisplacementField:
    grid = phantom.mri.grid
    # one node beyond the voxels' outer faces: the field must hold at every point of every voxel
    corners = grid.block((-2, -2, -2), tuple(n + 2 for n in grid.shape))
    sampled = DisplacementField.sample(phantom.truth, corners.at_spacing(_TRUTH_SPACING_UM))
    # single precision: half the file, wrong by 1e-4 um
    return DisplacementField(sampled.grid, sampled.displacement_um.astype(np.float32))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            folder, f"it cannot be made ({error.strerror})", "choose another"
        ) from error
