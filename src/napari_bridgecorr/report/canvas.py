"""The only file that imports matplotlib. Figures are made without pyplot, so any thread may."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

# matplotlib's classes, for annotations in files that must not import it
Figure = Any
Axes = Any

# Okabe & Ito's palette: told apart with any colour vision
BLUE, ORANGE, VERMILION = "#0072B2", "#E69F00", "#D55E00"
INK, SOFT, FAINT, PAPER = "#1f2933", "#52606d", "#d5dbe1", "#ffffff"
MAGENTA, GREEN = "#b5179e", "#15803d"

_DPI = 160
_FONT = "DejaVu Sans"  # comes with matplotlib: the page looks alike everywhere


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure on white paper (also in a dark page: pictures keep their own ground)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(
        figsize=(width_in, height_in), dpi=_DPI, facecolor=PAPER, layout="constrained"
    )
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, the same bytes for the same figure."""
    _make_printable(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()


def style(axes: Axes, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Quiet axes: no box, thin ticks, the title at the left."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=8, length=3)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    axes.set_xlabel(xlabel, fontsize=8.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=8.5, color=INK)


def legend(axes: Axes, **options: Any) -> None:
    """A frameless legend in the figures' size."""
    axes.legend(fontsize=8, frameon=False, labelcolor=INK, **options)


def shared_legend(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend below all panels, from the entries of one of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        frameon=False,
        labelcolor=INK,
    )


def outline() -> list[Any]:
    """Path effect for white lines and letters that must be seen on any picture."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.2, foreground="#00000099")]


def _make_printable(figure: Figure) -> None:
    """Take names as they are: no ``$`` formulas, and no character that the font lacks."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_fontfamily(_FONT)
        text.set_text("".join(c if c == "\n" or _has_glyph(c) else "?" for c in text.get_text()))


@cache
def _has_glyph(character: str) -> bool:
    from matplotlib.font_manager import findfont, get_font

    return bool(get_font(findfont(_FONT)).get_char_index(ord(character)))
