"""A console that stays open for a shift: bounded memory, and no view that is left behind."""

import pytest
from playwright.sync_api import CDPSession, Page, expect

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.xdist_group("browser")]

WATCHED_S = 30
GROWTH_MB = 3.0
"""twice what two minutes of trend hold"""
COME_AND_GO = """async ([views, times]) => {
  for (let i = 0; i < times; i += 1) for (const view of views) {
    location.hash = `#/${view}`;
    const ready = `[data-testid=view-${view.split("/")[0]}][data-ready=true]`;
    while (!document.querySelector(ready)) await new Promise((done) => setTimeout(done, 20));
  }
}"""


def measured(cdp: CDPSession) -> tuple[float, int]:
    """Heap, MB, and nodes of all documents, after everything that nobody holds is gone."""
    for _ in range(3):
        cdp.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return found["JSHeapUsedSize"] / 1e6, int(found["Nodes"])


def inspected(page: Page) -> CDPSession:
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    return cdp


def test_live_readings_do_not_pile_up(site, open_page):
    page = open_page(f"tune/{site.section('cafe2-cm1')}")
    expect(page.get_by_test_id("view-tune")).to_have_attribute("data-ready", "true")
    cdp = inspected(page)
    page.wait_for_timeout(1000 * WATCHED_S)
    heap, nodes = measured(cdp)
    page.wait_for_timeout(1000 * WATCHED_S)
    later, nodes_later = measured(cdp)
    assert later - heap < GROWTH_MB
    assert nodes_later < nodes + 100


def test_views_that_are_left_are_gone(site, open_page):
    page = open_page("admin/password")
    expect(page.get_by_test_id("view-admin")).to_have_attribute("data-ready", "true")
    cdp = inspected(page)
    cm1, lebt = site.section("cafe2-cm1"), site.section("lpi-lebt")
    views = [f"tune/{cm1}", f"tune/{lebt}", "machine", "history", "agents/cafe2-orbit", f"preflight/{cm1}"]
    views += ["admin/events", "admin/password"]
    page.evaluate(COME_AND_GO, [views, 1])
    _, nodes = measured(cdp)
    page.evaluate(COME_AND_GO, [views, 5])
    _, later = measured(cdp)
    assert later < nodes + 200
