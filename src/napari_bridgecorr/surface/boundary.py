"""Which of an image's boundaries was asked for, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from .columns import Columns
from .consensus import Candidate
from .edges import NEAR, WIDE, Edges, distinctness, edges_near, lines_near
from .look import Look
from .options import ADVICE, NAMES, DetectOptions
from .sheet import Sheet, fit_sheet
from .sides import leads_into_tissue, levels_beside, sides_of
from .votes import compressed, line_votes

FloatArray = NDArray[np.float64]
Kind = Literal["step", "line"]

_LEAST_SCORE = 0.12
# of the compressed values, which span 0.9
_PLAIN_STEP = 0.4
_LEAST_LINE = 0.3
_LEAST_DISTINCT_LINE = 0.7
# samples: the rise and the fall of a thin sheet lie no farther from its centre
_FLANK = 6.0
# score that a second boundary needs, as a share of the best one's
_SECOND = 0.5
_MOST_LEAN_DEGREES = 12.0
_REFINEMENTS = 4


@dataclass(frozen=True, eq=False)
class Boundary:
    """One boundary, measured."""

    look: Look
    candidate: Candidate
    kind: Kind
    sign: int
    edges: Edges
    sheet: Sheet
    used: NDArray[np.bool_]
    distinct: float

    @property
    def support(self) -> float:
        """Share of the columns with data that agree with it."""
        known = np.isfinite(self.look.columns.values).any(axis=0)
        return float(self.sheet.inliers.sum()) / max(1, int(known.sum()))


def most_certain(looks: list[Look], options: DetectOptions) -> tuple[Look, Candidate]:
    """The clearest boundary of all."""
    best: tuple[float, Look, Candidate] | None = None
    seen = 0.0
    for look in looks:
        for candidate in (*look.rises[:1], *look.falls[:1]):
            seen = max(seen, candidate.score)
            if candidate.score < _LEAST_SCORE:
                continue
            rank = candidate.score * _contrast(look, candidate)
            if best is None or rank > best[0]:
                best = (rank, look, candidate)
    if best is None:
        raise GeometryError(
            f"no {NAMES[options.target]} found: nowhere do the columns agree on a plane "
            f"(agreement {seen:.2f} of 1); {ADVICE}"
        )
    return best[1], best[2]


def _contrast(look: Look, candidate: Candidate) -> float:
    """How different the two sides are, of 1: seams between tiles are planes too, but faint."""
    outside, inside = levels_beside(
        compressed(look.columns.values), candidate.surface(look.across), 1
    )
    step = abs(inside - outside)
    return min(1.0, step / _PLAIN_STEP + 0.01) if np.isfinite(step) else 0.01


def wanted_boundary(look: Look, first: Candidate, options: DetectOptions) -> tuple[Boundary, int]:
    """The boundary that was asked for, of those parallel to the clearest one; the way in."""
    shape = look.across
    strong = {
        sign: [
            c
            for c in candidates
            if c.score >= _SECOND * first.score
            and look.lean_degrees(c, first) <= _MOST_LEAN_DEGREES
        ]
        for sign, candidates in ((1, look.rises), (-1, look.falls))
    }
    line, votes = _line(look, first) if look.is_microscope else (None, None)
    if line is not None:  # its two flanks are no boundaries of their own
        strong = {
            sign: [c for c in some if abs(c.depth - line.depth - 0.5) > _FLANK]
            for sign, some in strong.items()
        }
    every = sorted(
        [*strong[1], *strong[-1], *([] if line is None else [line])], key=lambda c: c.depth
    )
    before, beyond = sides_of(
        look.columns.values, every[0].surface(shape), every[-1].surface(shape)
    )
    step = beyond.level - before.level
    least = 0.1 * (float(np.nanpercentile(look.columns.values, 98)) - before.level)
    into = 1 if leads_into_tissue(before, beyond, abs(least)) > 0 else -1
    if options.into[0] in "+-":
        into = 1 if options.into[0] == "+" else -1
    elif abs(step) < abs(least) and line is None:  # air on both sides: the bright one is tissue
        into = 1 if first in look.rises else -1
    outer_level = before.level if into > 0 else beyond.level
    sign = _sign_of_tissue(strong, into, step)
    steps = sorted(strong[sign], key=lambda c: into * c.depth)
    if options.target == "surface":
        inner = [c for c in steps if c is first or _is_below_gap(look, c, into, outer_level)]
        if line is not None:
            inner = [c for c in inner if into * (c.depth - line.depth - 0.5) > 0]
        if inner:
            wide = _free_samples(inner[-1], strong[sign])
            return _measured(look, inner[-1], sign, may_curve=True, wide=wide), into
    if line is not None and (not steps or into * (line.depth + 0.5 - steps[0].depth) <= _FLANK):
        return _measured(look, line, 1, may_curve=False, votes_of_lines=votes), into
    outermost = steps[0] if steps else first
    wide = _free_samples(outermost, strong[sign])
    curve = options.target == "surface"
    return _measured(look, outermost, sign, may_curve=curve, wide=wide), into


def _free_samples(candidate: Candidate, others: list[Candidate]) -> float:
    """How far from a boundary no other one of its kind disturbs."""
    gaps = [abs(c.depth - candidate.depth) / 2 for c in others if c is not candidate]
    return float(np.clip(min(gaps, default=WIDE), 1.5 * NEAR, WIDE))


def _sign_of_tissue(strong: dict[int, list[Candidate]], into: int, step: float) -> int:
    """Whether a boundary into the tissue is a rise (1) or a fall along growing index."""
    usual = into
    if not strong[-usual]:
        return usual
    if not strong[usual]:
        return -usual
    return usual if step * into >= 0 or not np.isfinite(step) else -usual


def _line(look: Look, step: Candidate) -> tuple[Candidate | None, FloatArray]:
    """A thin bright sheet (reflection, second harmonic), brighter than what lies about it."""
    values = look.columns.values
    votes = line_votes(compressed(values))
    depth = look.columns.grid.voxel_size_um[0]
    iu, iv = np.indices(look.across)
    for line in look.planes(votes):
        lean = look.lean_degrees(line, step) <= _MOST_LEAN_DEGREES
        if not (lean and line.score >= _LEAST_LINE):
            continue
        surface = line.surface(look.across) + 0.5
        k = np.clip(np.floor(surface), 0, len(values) - 1).astype(np.int64)
        sheet = float(np.nanmedian(values[k, iu, iv]))
        sides = levels_beside(values, surface, 1)
        if sheet - max(sides) < abs(sides[1] - sides[0]):
            continue
        found = _measured(look, line, 1, may_curve=False, votes_of_lines=votes)
        # glass is flat: a layer of vessels is not, to within a sample
        if found.distinct >= _LEAST_DISTINCT_LINE and found.sheet.spread_um <= depth:
            return line, votes
    return None, votes


def _is_below_gap(look: Look, candidate: Candidate, into: int, outer_level: float) -> bool:
    """Whether what lies just outside of a boundary is much like what lies outside of all."""
    outside, inside = levels_beside(look.columns.values, candidate.surface(look.across), into)
    return abs(outside - outer_level) <= 0.35 * abs(inside - outer_level)


def _measured(
    look: Look,
    candidate: Candidate,
    sign: int,
    *,
    may_curve: bool,
    wide: float = WIDE,
    votes_of_lines: FloatArray | None = None,
) -> Boundary:
    """Edges along the columns near a candidate, and the sheet through them, in turns."""
    columns = look.columns
    shape = look.across
    kind: Kind = "step" if votes_of_lines is None else "line"
    surface = candidate.surface(shape) + (0.5 if kind == "line" else 0.0)
    depth = columns.grid.voxel_size_um[0]
    iu, iv = (a.astype(np.float64) for a in np.indices(shape))
    reach = 8.0
    found: Boundary | None = None
    for _ in range(_REFINEMENTS):
        if votes_of_lines is not None:
            edges = lines_near(columns.values, votes_of_lines, surface, reach)
        else:
            edges = edges_near(columns.values, look.votes, surface, reach, sign)
        used = np.isfinite(edges.position)
        if int(used.sum()) < 8:
            break
        index = np.column_stack([edges.position[used] - 0.5, iu[used], iv[used]])
        places = columns.places(index)
        sheet = fit_sheet(places, edges.vote[used], may_curve, 0.05 * depth)
        surface = _surface_of(columns, sheet, iu, iv)
        votes = look.votes if votes_of_lines is None else votes_of_lines
        offset = 0.0 if votes_of_lines is None else 0.5
        distinct = distinctness(votes, surface - offset, sign, wide)
        found = Boundary(look, candidate, kind, sign, edges, sheet, used, distinct)
        reach = float(np.clip(4 * sheet.spread_um / depth, 2.0, 8.0))
    if found is None:
        raise GeometryError(f"no plane could be measured along enough columns; {ADVICE}")
    return found


def _surface_of(columns: Columns, sheet: Sheet, iu: FloatArray, iv: FloatArray) -> FloatArray:
    """(u, v) position of a sheet along every column, in faces."""
    depth = columns.grid.voxel_size_um[0]
    position = np.zeros_like(iu)
    for _ in range(3):  # columns of a sheared image run aslant: their (u, v) change on the way
        index = np.column_stack([position.ravel() - 0.5, iu.ravel(), iv.ravel()])
        h, u, v = columns.places(index).T
        position = position + ((sheet.height(u, v) - h) / depth).reshape(iu.shape)
    return position
