"""The report for the logbook."""

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from beamctl.api.report.charts import Series, bars, lines
from beamctl.api.report.markup import Markup, element
from beamctl.api.report.scale import scale

pytestmark = pytest.mark.system
VOID = ("meta",)


class Balance(HTMLParser):
    """Sees that everything that is opened is closed, and what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_report(site, done, hostile):
    answer = site.viewer.get(f"/runs/{done['id']}/report")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    page = Balance()
    page.feed(answer.text)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "a", "form"})
    assert "svg" in page.tags
    assert hostile in page.text
    assert "<script" not in answer.text
    for said in (done["configuration_hash"], "operator-1", "RMS below 0.5 mm", " ok", "UTC"):
        assert said in page.text
    assert "http" not in answer.text


def test_report_of_a_run_that_has_done_nothing(site):
    run = site.ask(algorithm="bls", dry_run=True)
    site.until(run)
    assert "advised" in site.viewer.get(f"/runs/{run}/report").text
    assert site.viewer.get("/runs/999999/report").status_code == 404


def test_what_is_no_markup_is_text():
    made = element("p", "<b>", element("i", '"&"'), 3, title='"<>')
    assert made == '<p title="&quot;&lt;&gt;">&lt;b&gt;<i>&quot;&amp;&quot;</i>3</p>'
    assert isinstance(made, Markup)


@pytest.mark.parametrize(
    "values", [[1.0], [], [None, None], [0.0, 0.0], [1e-9, 2e-9], [-1e6, None, 1e6], [5.0, 5.0, 5.0]]
)
def test_charts_of_anything(values):
    x = [float(i) for i in range(len(values))]
    for chart in (
        lines("<t>", "x", x, [Series("a", values, "one"), Series("b", values, "two")], 0.5),
        bars("t", "x", [f"<{i}>" for i in x], [Series("a", values, "one")]),
    ):
        svg = ElementTree.fromstring(chart)
        assert svg.tag == "svg"
        assert "nan" not in chart


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-3, 7), (0.001, 0.0012), (1e5, 3e5), (2, 2)])
def test_scales_hold_everything_and_are_round(lo, hi):
    found = scale([lo, hi], 0, 100)
    assert found.lo <= lo <= hi <= found.hi
    assert 2 <= len(found.ticks) <= 8
    assert len({found.label(tick) for tick in found.ticks}) == len(found.ticks)
