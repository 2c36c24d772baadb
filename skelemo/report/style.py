"""The style of figures, and their output as SVG in a page or as files for a paper.

Figures use Matplotlib's objects without pyplot's global state. Colors are Okabe and Ito's color-blind safe palette. In
a page, text stays text (searchable, in the page's font) and colors follow the page's light or dark theme; in files,
text is drawn as paths so that they look the same everywhere.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, wraps
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from warnings import catch_warnings, filterwarnings

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

from skelemo.atomic import finished

FORMATS = ("pdf", "svg", "png")

INK, MUTED, RULE, PAPER = "#1b1f24", "#667080", "#d9dde3", "#fffffe"
BLUE, ORANGE, GREEN, HEAT = "#0072b2", "#d55e00", "#009e73", "#0b4f8a"

#: The page's CSS variables by color.
_THEME = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"}
_THEME |= {BLUE: "blue", ORANGE: "orange", GREEN: "green", HEAT: "heat"}

#: Width in inches of one column of a two-column paper, and of both.
COLUMN, PAGE = 3.4, 7.1

#: CSS pixels per inch; larger than 96 because screens are read from further away than paper.
_PAGE_SCALE = 112

#: Fonts for characters that DejaVu lacks, mostly Chinese, Japanese and Korean.
_FURTHER_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@cache
def _style() -> Any:
    installed = set(font_manager.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(name for name in _FURTHER_FONTS if name in installed)],
        "font.size": 7.5,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.labelsize": 7.5,
        "axes.labelcolor": MUTED,
        "axes.titlecolor": INK,
        "axes.edgecolor": RULE,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": RULE,
        "grid.linewidth": 0.5,
        "xtick.color": RULE,
        "ytick.color": RULE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "text.color": INK,
        "text.parse_math": False,  # names may contain dollar signs
        "legend.frameon": False,
        "legend.fontsize": 7,
        "lines.linewidth": 1.4,
        "lines.solid_capstyle": "round",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "figure.dpi": 100,
        "savefig.dpi": 300,
        "svg.hashsalt": "skelemo",
        "pdf.fonttype": 42,
    }


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run a function with this style."""

    @wraps(draw)
    def inner(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with mpl.rc_context(_style()), catch_warnings():
            filterwarnings("ignore", message="Glyph .* missing from")
            return draw(*args, **kwargs)

    return inner


def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with a size in inches, and its axes by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).ravel())


def name_rows(axes: Axes, places: ArrayLike, names: Sequence[str]) -> None:
    """Names beside the vertical axis, without ticks and lines."""
    axes.set_yticks(places, names, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")


def shorten(name: str, most: int = 24) -> str:
    """Shorten a name to ``most`` characters by omitting the middle."""
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[head + 1 - most :]}"


@styled
def to_svg(figure: Figure, title: str, name: str) -> str:
    """A figure as an ``<svg>`` element for a page.

    ``title`` is the text alternative; ``name`` must be unique in the page.
    """
    _settle(figure)
    buffer = StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    mark = "f" + hashlib.sha256(name.encode()).hexdigest()[:8]
    text = re.sub(r"<[^>]*>", lambda tag: _for_page(tag[0], used, mark), text)
    text = re.sub(r"\n\s*", "\n", text)
    width, height = (round(inches * _PAGE_SCALE) for inches in figure.get_size_inches())
    text = re.sub(r'(width|height)="[\d.]+pt" ?', "", text, count=2)
    # On a narrow screen it shrinks while readable, and then scrolls.
    size = f'width="{width}" height="{height}" style="height: auto; max-width: max(100%, {0.8 * width:.0f}px)"'
    label = f'role="img" aria-label="{escape(title)}" {size}'
    return text.replace("<svg ", f"<svg {label} ", 1).strip()


@styled
def save(figure: Figure, stem: Path, formats: Iterable[str]) -> list[Path]:
    """Write a figure as ``stem.pdf``, ``stem.svg`` and the like; the bytes are reproducible."""
    _settle(figure)
    written = []
    for kind in formats:
        path, buffer = stem.with_name(f"{stem.name}.{kind}"), BytesIO()
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        elif kind == "pdf":
            FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
        else:
            figure.savefig(buffer, format=kind, dpi=300, facecolor="white")
        with finished(path) as partial:
            partial.write_bytes(buffer.getvalue())
        written.append(path)
    return written


def _settle(figure: Figure) -> None:
    """Compute the layout once instead of at every drawing; canvases are called directly for the same reason."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)
        figure.set_layout_engine("none")


def _for_page(tag: str, used: set[str], mark: str) -> str:
    """A tag of an SVG with unique ids, the page's font and colors, and coordinates rounded to 0.01 points."""
    tag = re.sub(r' id="([^"]*)"', lambda match: f' id="{mark}{match[1]}"' if match[1] in used else "", tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\1{mark}", tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)
    return re.sub("|".join(_THEME), lambda match: f"var(--{_THEME[match[0]]}, {match[0]})", tag)
