"""HTML and SVG in which nothing can be forgotten to be escaped: what is no Markup is text."""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is HTML already; made by :func:`element` only."""

    __slots__ = ()


_EMPTY = ("meta", "line", "rect", "circle", "polyline", "br")


def element(name: str, *children: object, **attributes: object) -> Markup:
    """One element.

    Args:
        name: of the element.
        children: Markup stays, everything else is text.
        attributes: ``_`` at the end is left out, others become ``-``; those that are None are left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not children:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Markup:
    """Several, one behind the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(_text(child)) for child in children))


def document(*children: object) -> str:
    """A whole page."""
    return f"<!doctype html>\n{joined(children)}\n"


def style(rules: str) -> Markup:
    """Rules of our own, which are no text."""
    return Markup(f"<style>{rules}</style>")


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
