"""One look for every figure: palette by role, sizes for a 6.5-inch page, files that repeat byte for byte."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.base.errors import StudyError
from analysis.base.paths import replacing

WIDTH = 6.5  # inches: text width of a US letter page with one-inch margins
PNG_DPI = 220

# Okabe and Ito's palette: told apart under the common colour-vision deficiencies.
OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}

ROLES: Mapping[str, str] = {
    "treated": OKABE_ITO["blue"],
    "comparison": OKABE_ITO["orange"],
    "excluded": "#9A9A9A",
    "published": OKABE_ITO["black"],
    "between": OKABE_ITO["blue"],
    "within": OKABE_ITO["vermilion"],
    "matched": OKABE_ITO["green"],
    "before": OKABE_ITO["orange"],
    "after": OKABE_ITO["blue"],
    "mark": "#4D4D4D",  # reference lines and notes
}

# Shape as well as colour, so that a photocopy still tells the roles apart.
MARKERS: Mapping[str, str] = {
    "published": "D",
    "between": "o",
    "within": "s",
    "matched": "^",
    "before": "o",
    "after": "D",
}

FAINT = "#D9D9D9"
SIMULATED = "SIMULATED DATA"

RC: Any = {
    "font.family": "DejaVu Sans",  # bundled with matplotlib, hence the same on every machine
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4D4D4D",
    "axes.linewidth": 0.6,
    "axes.labelcolor": "#1A1A1A",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.color": "#4D4D4D",
    "ytick.color": "#4D4D4D",
    "xtick.labelcolor": "#1A1A1A",
    "ytick.labelcolor": "#1A1A1A",
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "study",
    "axes.unicode_minus": True,
    "path.simplify": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the study's look within a block and leave the caller's settings as they were.

    Example:
        >>> before = mpl.rcParams["font.size"]
        >>> with style():
        ...     inside = mpl.rcParams["font.size"]
        >>> inside, mpl.rcParams["font.size"] == before
        (7.5, True)
    """
    with mpl.rc_context(RC):
        yield


def colour(role: str) -> str:
    """Return the colour of a role; an unknown one raises `StudyError`.

    Example:
        >>> colour("treated")
        '#0072B2'
    """
    if role not in ROLES:
        raise StudyError(f"no colour for role '{role}'", f"one of {', '.join(ROLES)}")
    return ROLES[role]


def figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of the page's width (inches), bound to no screen or global state."""
    return Figure(figsize=(width, height), layout=None)


def stamp_simulated(fig: Figure) -> Figure:
    """Mark a figure as made from the simulated panel: large across the sheet, and once more in the footer.

    Returns the same figure, marked; marking twice leaves one mark.

    Example:
        >>> fig = stamp_simulated(stamp_simulated(Figure()))
        >>> [t.get_text() for t in fig.texts].count("SIMULATED DATA")
        1
    """
    if any(text.get_gid() == "simulated" for text in fig.texts):
        return fig
    width, height = fig.get_size_inches()
    size = min(width, height * 1.6) * 7.2
    fig.text(
        0.5, 0.52, SIMULATED, rotation=24 if height > 0.5 * width else 12, fontsize=size, fontweight="bold",
        color="#B00020", alpha=0.16, ha="center", va="center", zorder=1000, gid="simulated",
        family="DejaVu Sans",
    )  # fmt: skip
    fig.text(
        0.995, 0.004, f"{SIMULATED}: known effects built in, evidence of nothing", fontsize=6,
        color="#B00020", ha="right", va="bottom", zorder=1000, gid="simulated", family="DejaVu Sans",
    )  # fmt: skip
    return fig


NOTE_WIDTH = 136  # characters of a note that fit the page's width
NOTE_LINE = 0.118  # inches a line of a note takes
STRIP = 0.12  # inches kept free at the bottom for the mark of simulated data


def wrapped(note: str) -> str:
    """Return a note broken into lines that fit under a figure; line breaks in it are kept.

    Example:
        >>> wrapped("a " * 100).count("\\n")
        1
    """
    return "\n".join(
        piece for line in note.split("\n") for piece in (textwrap.wrap(line, NOTE_WIDTH) or [""])
    )


def note_height(note: str) -> float:
    """Return how many inches a note needs under a figure."""
    return STRIP + (NOTE_LINE * (wrapped(note).count("\n") + 1) + 0.07 if note else 0.0)


def footnote(fig: Figure, note: str) -> None:
    """Write the note under a figure: what is shown, on whom, and how the intervals were made."""
    y = STRIP / float(fig.get_size_inches()[1])
    fig.text(0.008, y, wrapped(note), fontsize=6.2, color="#333333", ha="left", va="bottom", linespacing=1.35)


def cut_span(
    axes: Axes,
    at: float,
    ends: tuple[float, float],
    reach: tuple[float, float],
    ink: str,
    *,
    alpha: float = 1.0,
    width: float = 1.1,
    arrow: float = 2.8,
    zorder: int = 3,
) -> None:
    """Draw a horizontal interval, cut at the ends of its scale, with an arrow where it goes on.

    Args:
        axes: its panel.
        at: height.
        ends: of the interval, finite.
        reach: ends of the scale.
        ink: colour.
        alpha: of interval and arrows.
        width: of the line in points.
        arrow: size of the arrows in points.
        zorder: of the line.
    """
    (low, high), (first, last) = ends, reach
    axes.hlines(at, max(low, first), min(high, last), color=ink, linewidth=width, alpha=alpha, zorder=zorder)
    for beyond, marker, x in ((low < first, "<", first), (high > last, ">", last)):
        if beyond:
            axes.plot(
                [x],
                [at],
                marker=marker,
                color=ink,
                markersize=arrow,
                alpha=alpha,
                clip_on=False,
                markeredgewidth=0,
            )


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """Draw the line of no difference."""
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color=ROLES["mark"], linewidth=0.7, zorder=1)


def save(fig: Figure, path: Path) -> Path:
    """Write a figure so that the same numbers give the same bytes: no date, no software name, fixed salt.

    Args:
        fig: the figure.
        path: target; its suffix (.pdf, .png or .svg) chooses the format.

    Raises:
        StudyError: another suffix.
    """
    metadata: dict[str, dict[str, Any]] = {
        ".pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
        ".png": {"Software": None},
        ".svg": {"Date": None, "Creator": None},
    }
    if path.suffix not in metadata:
        raise StudyError(f"figure format '{path.suffix}'", ".pdf, .png or .svg")
    with style(), replacing(path) as temporary:
        fig.savefig(temporary, dpi=PNG_DPI, metadata=metadata[path.suffix])
    return path
