"""Put a report together and write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..fitting import FoldingCheck
from ..image import SpatialImage
from ..io.atomic import write_text
from ..progress import Progress, Silent
from . import html
from .canvas import png
from .contents import ReportContents
from .key_figures import KeyFigures, length, plain
from .landmark_figures import MANY, LandmarkErrors, draw_arrows, draw_leave_one_out, landmark_errors
from .slice_figure import draw_slices
from .slices import Overlap, cut_planes, find_overlap, world_directions
from .statistics import folding_check
from .table_figures import draw_density, draw_error
from .table_view import MOST_DENSITIES, Table, covered_errors, density_view, error_map

_WORDS = {
    "residual": "How far the fitted transform misses a landmark that it was fitted to. It can be "
    "made 0 by a flexible model and is not the accuracy anywhere.",
    "leave-one-out error": "How far a landmark is from where the fit to all others predicts it. An "
    "honest guess between landmarks; on the outer hull the others must extrapolate, so it is too "
    "pessimistic there. It contains the click error of the landmark itself.",
    "predicted error": "Expected root-mean-square registration error at each voxel, from the "
    "places and leave-one-out errors of the landmarks. It cannot know of tears or folds in the "
    "tissue between landmarks.",
    "target registration error": "Distance between where the transform puts a point and where it "
    "truly is. Known only for phantoms or targets that no fit has used.",
    "folding check": "The Jacobian determinant says how the transform changes volume; where "
    "it is 0 or less, neighbouring voxels swap places and the registration is impossible.",
}


def write_report(contents: ReportContents, path: Path, progress: Progress | None = None) -> None:
    """Write one self-contained HTML page about a registration.

    Parameters
    ----------
    contents : ReportContents
    path : Path
        The ``.html`` file; it appears whole or not at all.
    progress : Progress, optional
        Told after each section; may cancel.

    Raises
    ------
    WriteError
        If the file cannot be written.
    Cancelled
        If `progress` cancels; what stood at `path` is untouched.

    Examples
    --------
    >>> import dask.array as da, tempfile
    >>> from napari_bridgecorr.geometry import Grid
    >>> from napari_bridgecorr.image import Channel, Source
    >>> from napari_bridgecorr.transform import Affine
    >>> data = da.random.random((1, 1, 4, 30, 30))
    >>> grid, source = Grid.from_spacing((4, 30, 30), 10.0), Source(Path("a.tif"), "TIFF")
    >>> image = SpatialImage((data,), (grid,), (Channel("signal"),), source)
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(ReportContents("Itself", image, image, Affine.identity()), path)
    >>> path.read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    write_text(path, render_report(contents, progress or Silent()))


def render_report(contents: ReportContents, progress: Progress) -> str:
    """The page as text."""
    progress.begin("writing the report", 4)
    overlap = find_overlap(contents.fixed.grid, contents.moving.grid, contents.transform)
    table = contents.table or {}
    truth = np.empty(0)
    if contents.truth_errors_um is not None:
        truth = contents.truth_errors_um[np.isfinite(contents.truth_errors_um)]
    folding: FoldingCheck | None
    if contents.fit is not None:
        folding = contents.fit.diagnostics.folding
    else:
        folding = folding_check(contents.transform, _lattice(contents.fixed, overlap))
    key = KeyFigures(contents, folding, covered_errors(contents, table), truth)
    pair = f"fixed: {_describe(contents.fixed)}  ·  moving: {_describe(contents.moving)}"
    body = [html.header(contents.title, pair, key.lead())]
    warnings = _warnings(contents, overlap)
    if warnings:
        body.append(html.warning_box(warnings))
    body.append(html.cards(key.cards()))
    body += _slice_section(contents, overlap)
    progress.advance()
    if contents.fit is not None:
        body += _landmark_section(contents, landmark_errors(contents.fit))
    progress.advance()
    if table:
        body += _density_section(contents, table)
    progress.advance()
    if table or truth.size:
        body += _error_section(contents, table, key)
    progress.advance()
    body += [html.heading("What the words mean"), html.words(_WORDS)]
    if contents.facts:
        body += [html.heading("How this was made"), html.fact_table(contents.facts)]
    return html.page(contents.title, body)


def _describe(image: SpatialImage) -> str:
    z, y, x = image.grid.shape
    size = " × ".join(f"{v:.3g}" for v in image.grid.voxel_size_um)
    return f"{image.name} ({z} × {y} × {x} voxels of {size} µm)"


def _warnings(contents: ReportContents, overlap: Overlap) -> list[str]:
    found = [f"{contents.fixed.name}: {w}" for w in contents.fixed.warnings]
    found += [f"{contents.moving.name}: {w}" for w in contents.moving.warnings]
    if contents.fit is not None:
        found += contents.fit.warnings
    if overlap.is_empty:
        found.append(
            "the registered moving image does not meet the fixed image anywhere: check that the "
            "landmarks belong to these images and that the voxel sizes are right"
        )
    return found


def _lattice(
    fixed: SpatialImage, overlap: Overlap
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    axes = [
        np.linspace(a, b, 10) if n > 1 else np.zeros(1)
        for a, b, n in zip(overlap.lower, overlap.upper, fixed.grid.shape, strict=True)
    ]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return fixed.grid.to_world(index)


def _slice_section(contents: ReportContents, overlap: Overlap) -> list[str]:
    planes = cut_planes(contents, overlap)
    anatomical = contents.fixed.source.format.startswith("NIfTI")
    figure = draw_slices(planes, contents.fixed.grid.shape, anatomical)
    fixed = contents.fixed.channels[contents.fixed_channel].name
    moving = contents.moving.channels[contents.moving_channel].name
    oblique = any("~" in d for p in planes for d in p.directions())
    caption = [
        "Look for structures that continue across the checkerboard's edges and for white or grey "
        "in the overlay. A magenta line beside a green one is a shift.",
        f"Fixed ({fixed}) in magenta, registered moving ({moving}) in green. Both instruments need "
        "not be bright at the same places: colour alone is no sign of misregistration. Contrast "
        "runs from the 1st to the 99.5th percentile (magenta darkened, gamma 1.5). Hatched: no "
        "data; dim grey in the overlay: only one image has data. Arrows point along the world axes"
        + (" (~: nearest axis of an oblique image)." if oblique else "."),
    ]
    if not overlap.is_empty and not _is_whole(contents.fixed, overlap):
        caption[1] += " The slices are cropped to where both images have data."
    return [
        html.heading("Do the images agree?", "Slices through the middle of the shared volume."),
        html.picture(
            "slices", png(figure), "Slices of the fixed and the registered moving image", caption
        ),
    ]


def _is_whole(image: SpatialImage, overlap: Overlap) -> bool:
    return bool(np.all(overlap.upper - overlap.lower >= np.asarray(image.grid.shape)))


def _landmark_section(contents: ReportContents, errors: LandmarkErrors) -> list[str]:
    directions = world_directions(contents.fixed.grid)
    up = {d[-1]: "-" in d for d in directions}  # rows grow downwards: a negative axis points up
    flat = contents.fixed.grid.shape[0] == 1
    hull = int(errors.is_hull.sum())
    body = [
        html.heading(
            "Where do the landmarks disagree?",
            f"{errors.n} landmarks, {hull} of them on the outer hull of the cloud.",
        ),
        html.picture(
            "landmark-arrows",
            png(draw_arrows(errors, (up["z"], up["y"], up["x"]), flat)),
            "Landmark positions with residual and leave-one-out arrows",
            [
                "Look for arrows that point the same way in one region (the model is too stiff "
                "there) and for one long arrow among short ones (a misplaced landmark).",
                f"Arrows are drawn {errors.scale:g} × their length. Each runs from the landmark "
                "in the fixed image to where the registered moving image shows its partner. A "
                "residual is not accuracy: a flexible model makes it small everywhere."
                + (f" Of {errors.n} landmarks the 10 worst are named." if errors.n > MANY else ""),
            ],
        ),
        html.picture(
            "leave-one-out",
            png(draw_leave_one_out(errors)),
            "Leave-one-out error of each landmark",
            [
                "Look again at landmarks far beyond the median: they are misplaced, or alone in "
                "their region.",
                "Each landmark is predicted by a fit to all others. On the hull this means "
                "extrapolation, so the number there is pessimistic; inside it is a fair guess of "
                "the error between landmarks, click error included.",
            ],
        ),
    ]
    rows = [
        (
            errors.ids[i],
            plain(float(errors.residual_um[i])),
            plain(float(errors.leave_one_out_um[i])),
            "on the hull" if errors.is_hull[i] else "inside",
        )
        for i in range(errors.n)
    ]
    columns = ("landmark", "residual (µm)", "leave-one-out error (µm)", "place")
    body.append(html.number_table(columns, rows, "All landmarks as numbers"))
    return body


def _density_section(contents: ReportContents, table: Table) -> list[str]:
    view = density_view(contents, table)
    if view is None:
        return []
    body = [
        html.heading(
            "What does one instrument show where the other sees signal?",
            f"{view.density_image.name} (the smaller voxels) against {view.intensity_image.name}.",
        )
    ]
    for name in view.too_few:
        body.append(
            html.missing(
                f"No figure for {name}: fewer than 5 rows have both images at 99 % coverage or "
                f"more. Check the overlap above, or use larger rows."
            )
        )
    if not view.comparisons:
        return body
    notes = []
    relative = [name for name, c in view.comparisons if c.is_relative]
    if relative:
        notes.append(
            f"{', '.join(relative)}: not a segmentation but a raw signal, rescaled between its 0.5 "
            "and 99.5 percentile over the covered rows to 0–100 % (relative signal)."
        )
    drawn = [c for _, c in view.comparisons if c.n_covered > len(c.percent)]
    if drawn:
        notes.append(
            f"{len(drawn[0].percent):,} rows drawn at random (fixed seed) from "
            f"{drawn[0].n_covered:,} covered ones."
        )
    if view.left_out:
        notes.append(
            f"The first {MOST_DENSITIES} channels are shown, {view.left_out} more are not."
        )
    caption = [
        "Look for boxes that rise or fall steadily from class to class, against their height.",
        "Boxes: quartiles and median; whiskers: 5th to 95th percentile. Only rows covered by more "
        "than 99 % count. Neighbouring voxels are not independent (and rows finer than the "
        "registration error even less), so n and r must not be turned into a p-value. "
        "Misregistration blurs real relations towards none.",
        *notes,
    ]
    figure = draw_density(view.comparisons, view.intensity_name)
    body.append(html.picture("density", png(figure), "Density against intensity", caption))
    return body


def _error_section(contents: ReportContents, table: Table, key: KeyFigures) -> list[str]:
    title = html.heading("How far can each voxel be trusted?")
    truth = key.truth_um if key.truth_um.size else None
    if not key.predicted_um.size:
        reason = (
            "No predicted error: the table has none for covered rows. Give the landmarks when "
            "making the table, and check the overlap above."
        )
        return [title, html.missing(reason)] if table else []
    shown = error_map(contents, table)
    figure = draw_error(key.predicted_um, shown, truth)
    caption = [
        f"Look where the error exceeds what you want to resolve: half of the covered rows are "
        f"below {length(float(np.median(key.predicted_um)))}. It is smallest between landmarks and "
        "grows outside them.",
        "A prediction from the landmarks alone, not a measurement: tears or folds of the tissue "
        "between landmarks are unknown to it.",
    ]
    if shown is not None:
        caption[1] += " Circles in the map: landmarks, projected; hatched: rows not covered."
    if truth is not None:
        median, high = np.percentile(truth, (50, 95))
        caption.append(
            f"Truth known at {truth.size:,} targets: median {length(float(median))}, 95 % below "
            f"{length(float(high))}. If the two histograms agree, the prediction can be believed."
        )
    picture = html.picture("error", png(figure), "Predicted registration error", caption)
    return [title, picture]
