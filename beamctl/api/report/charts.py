"""Charts as inline SVG, in black and a few greys and colours that print."""

from collections.abc import Sequence
from dataclasses import dataclass

from beamctl.api.report.markup import Markup, element, joined
from beamctl.api.report.scale import Scale, scale

WIDTH, HEIGHT = 720.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 26.0, 34.0
NAMED = 26
"""more names than this are not written below the bars"""


@dataclass(frozen=True)
class Series:
    """Numbers that belong together; None where there is none.

    Attributes:
        name: for people.
        look: class in the style sheet.
    """

    name: str
    values: Sequence[float | None]
    look: str


def lines(title: str, x_title: str, x: Sequence[float], series: Sequence[Series], level: float | None = None) -> Markup:
    """Numbers over whole numbers.

    Args:
        title: what is drawn, with unit.
        x_title: of the axis below, with unit.
        x: of every number.
        series: drawn over each other.
        level: a goal, dashed.
    """
    across = scale(x, LEFT, WIDTH - RIGHT, most=9, least_step=1.0)
    up = _up(series, [] if level is None else [level])
    drawn = [_line(one, x, across, up) for one in series]
    goal = [] if level is None else [_goal(up(level))]
    below = [_below(across(tick), across.label(tick)) for tick in across.ticks]
    return _frame(title, x_title, up, [*goal, *drawn, *below], series)


def bars(title: str, x_title: str, names: Sequence[str], series: Sequence[Series]) -> Markup:
    """A group of bars for every name; other arguments as :func:`lines`."""
    up = _up(series, [0.0])
    room = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    wide = 0.8 * room / max(1, len(series))
    drawn = []
    for i, one in enumerate(series):
        for j, value in enumerate(one.values):
            if value is not None:
                x = LEFT + j * room + 0.1 * room + i * wide
                top, height = min(up(value), up(0.0)), abs(up(value) - up(0.0))
                drawn.append(element("rect", x=x, y=top, width=wide, height=height, class_=one.look))
    below = [_below(LEFT + (j + 0.5) * room, name) for j, name in enumerate(names) if len(names) <= NAMED]
    zero = element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(0.0), y2=up(0.0), class_="axis")
    return _frame(title, x_title, up, [*drawn, zero, *below], series)


def _up(series: Sequence[Series], also: Sequence[float]) -> Scale:
    values = [value for one in series for value in one.values if value is not None]
    return scale([*values, *also], HEIGHT - BOTTOM, TOP, most=5)


def _line(one: Series, x: Sequence[float], across: Scale, up: Scale) -> Markup:
    """Points, and lines between neighbours that are both there."""
    points = [(across(at), up(value)) for at, value in zip(x, one.values, strict=True) if value is not None]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = [element("circle", cx=a, cy=b, r=2.5, class_=one.look) for a, b in points]
    return joined([element("polyline", points=path, class_=f"{one.look} path"), *dots])


def _goal(y: float) -> Markup:
    return element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="goal")


def _below(x: float, text: str) -> Markup:
    return element("text", text, x=x, y=HEIGHT - BOTTOM + 14, text_anchor="middle")


def _frame(title: str, x_title: str, up: Scale, drawn: Sequence[Markup], series: Sequence[Series]) -> Markup:
    grid = [
        joined([
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(tick), y2=up(tick), class_="grid"),
            element("text", up.label(tick), x=LEFT - 6, y=up(tick) + 4, text_anchor="end"),
        ])
        for tick in up.ticks
    ]  # fmt: skip
    return element(
        "svg",
        element("title", title),
        element("text", title, x=LEFT, y=14, class_="title"),
        *_legend(series),
        *grid,
        *drawn,
        element("text", x_title, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
    )


def _legend(series: Sequence[Series]) -> list[Markup]:
    if len(series) < 2:
        return []
    found, x = [], WIDTH - RIGHT
    for one in reversed(series):
        x -= 7.0 * len(one.name)
        found.append(element("text", one.name, x=x, y=14))
        x -= 14
        found.append(element("rect", x=x, y=5, width=10.0, height=10.0, class_=one.look))
        x -= 10
    return found
