"""Every view: accessible, closed to whom it is not for, and never fooled by what others have typed."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from beamctl.store.requests import NewRequest
from beamctl.store.states import Role

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("browser")]

NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>"
HALT = """async (run) => {
  const answer = await fetch(`/api/v1/runs/${run}/halt`, {method: "POST", headers: {"X-Beamctl": "1"}});
  return answer.status;
}"""
VIEWS = ["machine", "tune/{cm1}", "tune/{lebt}", "preflight/{cm1}", "history", "history/{run}", "compare/{run}/{run}",
         "agents", "agents/cafe2-orbit", "agents/lpi-transmission", "admin"]  # fmt: skip
COMMANDS = ("start", "ask-approval", "command-abort", "command-halt", "command-pause", "command-accept")


@pytest.fixture(scope="module")
def known_run(site) -> int:
    """The number of a run that has ended, with a note that nobody should trust."""
    kit = site.deployment.kit("cm2-orbit")
    asked = NewRequest(
        task="cm2-orbit", section=kit.key, algorithm="bls", agent="", principal=NASTY, idempotency_key="views",
        note=NASTY, budgets={"max_steps": 3},
    )  # fmt: skip
    request = site.store.requests.submit(asked)
    with site.store.watch() as watch:
        while not (runs := site.store.runs.list(request=request.id)) or runs[0].ended is None:
            assert watch.wait(60.0)
    return runs[0].id


def address(site, view: str, run: int) -> str:
    return view.format(cm1=site.section("cafe2-cm1"), lebt=site.section("lpi-lebt"), run=run)


def is_shown(page: Page, view: str) -> None:
    """Until a view has everything that it needs."""
    root = page.get_by_test_id(f"view-{view.split('/')[0]}")
    expect(root).to_have_attribute("data-ready", "true")
    expect(page.get_by_test_id("view-fault")).to_have_count(0)
    expect(page.get_by_test_id("connection")).to_contain_text("Live")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_accessible(site, open_page, known_run, scheme):
    page = open_page("machine", Role.ADMIN, color_scheme=scheme)
    found = {}
    for view in VIEWS:
        page.goto(f"{site.url}/#/{address(site, view, known_run)}")
        is_shown(page, view)
        report = Axe().run(page).response
        for fault in report["violations"]:
            found[f"{view}: {fault['id']}"] = [node["html"][:200] for node in fault["nodes"]][:3]
    assert found == {}


def test_the_login_page_is_accessible(site, open_page):
    page = open_page("machine", role=None)
    expect(page.get_by_test_id("view-login")).to_be_visible()
    assert [fault["id"] for fault in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize("width", [390, 1280, 3840])
def test_nothing_sticks_out(site, open_page, known_run, width):
    page = open_page("machine", Role.ADMIN)
    page.set_viewport_size({"width": width, "height": 800})
    for view in VIEWS:
        page.goto(f"{site.url}/#/{address(site, view, known_run)}")
        is_shown(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_a_viewer_looks(site, open_page, known_run):
    page = open_page("machine", Role.VIEWER)
    for view in VIEWS:
        page.goto(f"{site.url}/#/{address(site, view, known_run)}")
        is_shown(page, view)
        for command in COMMANDS:
            expect(page.get_by_test_id(command).locator("visible=true")).to_have_count(0)
    page.keyboard.press("Shift+H")
    assert page.evaluate(HALT, known_run) == 403


def test_what_others_have_typed_is_text(site, open_page, known_run):
    page = open_page(f"history/{known_run}", Role.ADMIN)
    is_shown(page, "history")
    expect(page.get_by_text(NASTY).first).to_be_visible()
    page.goto(f"{site.url}/#/history")
    is_shown(page, "history")
    expect(page.get_by_text(NASTY).first).to_be_visible()
    page.goto(f"{site.url}/#/tune/{NASTY}")
    expect(page.get_by_test_id("view-fault")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    page.goto(f"{site.url}/api/v1/runs/{known_run}/report")
    expect(page.get_by_text(re.compile(re.escape(NASTY))).first).to_be_visible()


def test_back_to_where_one_was_after_a_login(site, open_page):
    page = open_page(f"tune/{site.section('cafe2-cm2')}", Role.OPERATOR)
    is_shown(page, "tune")
    site.store.sessions.end_all("operator")
    expect(page.get_by_test_id("view-login")).to_be_visible()
    page.get_by_test_id("login-name").fill("operator")
    page.get_by_test_id("login-password").fill("correct horse battery")
    page.get_by_test_id("login-submit").click()
    is_shown(page, "tune")


def test_the_contract_can_be_read_and_tried_out(site, open_page):
    page = open_page("machine")
    page.goto(f"{site.url}/api/v1/docs")
    page.locator("#operations-machine-get_machine button").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
