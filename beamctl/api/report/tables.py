"""Tables of a report."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from beamctl.api.report.markup import Markup, element


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names and what belongs to them."""
    rows = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in pairs]
    return element("table", *rows, class_="facts")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Columns; numbers, and heads that end with a unit, stand at the right."""
    head = element("thead", element("tr", *map(_head, heads)))
    body = element("tbody", *(element("tr", *map(_cell, row)) for row in rows))
    return element("table", head, body)


def amount(value: float | None, digits: int = 3) -> str:
    """A number for people."""
    return "-" if value is None else f"{value:.{digits}f}"


def moment(time: datetime | None) -> str:
    """UTC, and the time of the service's host."""
    if time is None:
        return "-"
    local = time.astimezone()
    return f"{time:%Y-%m-%d %H:%M:%S} UTC ({local:%Y-%m-%d %H:%M:%S %Z})"


def _head(text: str) -> Markup:
    return element("th", text, scope="col", class_="number" if text.endswith(", A") else None)


def _cell(value: object) -> Markup:
    if isinstance(value, float):
        return element("td", amount(value), class_="number")
    return element("td", "-", class_="number") if value is None else element("td", value)
