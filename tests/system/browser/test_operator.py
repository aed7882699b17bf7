"""What an operator does in a shift, in a real browser against a real (soft) machine."""

import re
import signal

import pytest
from playwright.sync_api import Page, expect

from beamctl.engine.epics.engine import EpicsEngine
from beamctl.store.requests import NewRequest
from beamctl.store.runs import NewRun
from beamctl.store.states import RunState
from tests.system.browser.conftest import PASSWORD, Site

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("browser")]
SLOW = {"algorithm": "svd", "target": "0.01"}
"""a run that people end"""


def ask_for_run(page: Page, site: Site, section: str, *, review: bool = False, **fields: str) -> None:
    """Fill in the form, read the question, confirm."""
    for name in ("algorithm",):
        if name in fields:
            page.get_by_test_id(name).select_option(fields.pop(name))
    for name, value in fields.items():
        page.get_by_test_id(name).fill(value)
    page.get_by_test_id("review").set_checked(review)
    page.get_by_test_id("start").click()
    dialog = page.get_by_test_id("confirm-start")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text(site.prefix)
    page.get_by_test_id("dialog-confirm").click()


def wait_for_state(page: Page, words: str) -> None:
    """Where the run of the present view is, as the bar tells it."""
    expect(page.get_by_test_id("bar-state")).to_contain_text(re.compile(words, re.I))


def newest(site: Site):
    return site.store.runs.list(limit=1)[0]


def test_log_in_and_look(site, open_page):
    page = open_page("machine", role=None)
    page.get_by_test_id("login-name").fill("operator")
    page.get_by_test_id("login-password").fill("wrong but long enough")
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("login-fault")).not_to_be_empty()
    page.get_by_test_id("login-password").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("who")).to_have_text("operator")
    expect(page.get_by_test_id("connection")).to_contain_text("Live")
    for name in ("lpi-lebt", "cafe2-cm1", "cafe2-cm2", "cafe2-cm3"):
        expect(page.get_by_test_id(f"section-{site.section(name)}")).to_be_visible()
    page.get_by_test_id("log-out").click()
    expect(page.get_by_test_id("view-login")).to_be_visible()


def test_advice_writes_nothing(site, open_page):
    before = len(site.store.requests.list())
    page = open_page(f"tune/{site.section('cafe2-cm1')}")
    page.get_by_test_id("ask-advice").click()
    table = page.get_by_test_id("advice-table")
    expect(table).to_contain_text("TBSAC")
    expect(table).to_contain_text("Least squares")
    expect(table).to_contain_text("Do nothing")
    assert len(site.store.requests.list()) == before


def test_a_run_to_its_end(site, open_page):
    section = site.section("cafe2-cm1")
    page = open_page(f"tune/{section}")
    ask_for_run(page, site, section, review=True, note="<img src=x onerror=alert(1)>")
    wait_for_state(page, "review")
    expect(page.get_by_test_id("run-steps")).not_to_be_empty()
    page.get_by_test_id("command-accept").click()
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("accepted", re.I))
    run = newest(site)
    assert run.state is RunState.ACCEPTED
    assert run.outcome == "reached"


def test_abort_by_keyboard_restores(site, open_page):
    section = site.section("cafe2-cm2")
    page = open_page(f"tune/{section}")
    ask_for_run(page, site, section, **SLOW)
    wait_for_state(page, "running")
    expect(page.get_by_test_id("steps")).to_contain_text("2")
    page.keyboard.press("Shift+A")
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("restored", re.I))
    assert newest(site).state is RunState.RESTORED


def test_halt_freezes_and_is_restored_later(site, open_page):
    section = site.section("cafe2-cm2")
    page = open_page(f"tune/{section}")
    ask_for_run(page, site, section, **SLOW)
    wait_for_state(page, "running")
    page.get_by_test_id("note").focus()
    page.keyboard.press("Shift+H")
    wait_for_state(page, "running")
    page.get_by_test_id("note").blur()
    page.keyboard.press("Shift+H")
    wait_for_state(page, "halted")
    page.get_by_test_id("command-restore").click()
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("restored", re.I))


def test_decisions_appear_as_soon_as_the_run_has_let_go(site, open_page):
    """The state comes first, the end of the request a moment later: nothing else about the run changes with that."""
    section, store = site.section("cafe2-cm2"), site.store
    asked = {"task": f"{site.prefix}cm2-orbit", "section": section, "algorithm": "svd", "agent": "svd"}
    site.control.send_signal(signal.SIGSTOP)  # what it would write is written here, one thing at a time
    lease = store.leases.section(section)
    try:
        store.requests.submit(NewRequest(**asked, principal="tests", idempotency_key=section))
        request = store.requests.claim()
        record = {"task": asked["task"], "agent_hashes": None, "configuration_hash": "c", "request": request.id}
        run = store.runs.create(lease, NewRun(section=section, principal="tests", agent="svd", **record))
        store.runs.set_snapshot(lease, run.id, {"knobs": [], "setpoint_a": []})
        page = open_page(f"tune/{section}")
        for state in (RunState.RUNNING, RunState.HALTED):
            store.runs.set_state(lease, run.id, state, "halted by tests")
        wait_for_state(page, "halted")
        expect(page.get_by_test_id("decide")).to_contain_text("Halted")
        with page.expect_response(f"**/runs/{run.id}/setpoints"):  # what the last change of state has led to is over
            store.runs.set_state(lease, run.id, RunState.HALTED, "halted by tests, as ever")
        expect(page.get_by_test_id("bar-reason")).to_contain_text("as ever")
        expect(page.get_by_test_id("command-restore")).to_have_count(0)
        store.requests.finish(request.id)
        expect(page.get_by_test_id("command-restore")).to_be_visible()
        store.runs.finish(lease, run.id, RunState.HALTED, "cleared", "ended by tests")
    finally:
        lease.release()
        site.control.send_signal(signal.SIGCONT)


def test_somebody_else_writes(site, open_page):
    section = site.section("cafe2-cm3")
    page = open_page(f"tune/{section}")
    ask_for_run(page, site, section, review=True, **SLOW)
    wait_for_state(page, "running")
    knob = site.deployment.kit("cm3-orbit").layout().knobs[2]
    engine = EpicsEngine(["127.0.0.1"])
    try:
        engine.start([knob.setpoint], 20.0)
        engine.write({knob.setpoint: 21.0}, 20.0)
    finally:
        engine.close()
    wait_for_state(page, "conflict")
    decide = page.get_by_test_id("decide")
    expect(decide).to_contain_text(knob.setpoint)
    page.get_by_test_id("command-restore").click()
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("restored", re.I))


def test_every_step_approved(site, open_page):
    section = site.section("cafe2-cm1")
    page = open_page(f"tune/{section}")
    page.get_by_test_id("approval").check()
    ask_for_run(page, site, section, **SLOW)
    expect(page.get_by_test_id("proposal")).to_be_visible()
    assert site.store.journal.of_run(newest(site).id) == []
    page.get_by_test_id("command-approve").click()
    expect(page.get_by_test_id("steps")).to_contain_text("0")
    page.get_by_test_id("command-abort").click()
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("restored|aborted", re.I))


def test_transmission(site, open_page):
    section = site.section("lpi-lebt")
    page = open_page(f"tune/{section}")
    ask_for_run(page, site, section, **{"max-steps": "3"})
    wait_for_state(page, "running")
    expect(page.get_by_test_id("bar-reason")).to_contain_text(re.compile("accepted|restored", re.I))
    run = newest(site)
    assert run.task == "rfq-transmission"
    assert run.ended is not None


def test_a_stream_that_is_cut(site, open_page):
    page = open_page("machine")
    expect(page.get_by_test_id("connection")).to_contain_text("Live")
    page.evaluate("window.isTheSamePage = true")
    site.kill_service()
    expect(page.get_by_test_id("connection")).not_to_contain_text("Live", timeout=2500)
    site.start_service()
    expect(page.get_by_test_id("connection")).to_contain_text("Live")
    assert page.evaluate("window.isTheSamePage"), "resumed without loading the page again"


def test_without_a_control_process(site, open_page):
    page = open_page("machine")
    expect(page.get_by_test_id("control")).to_contain_text(re.compile("alive", re.I))
    site.control.terminate()
    site.control.communicate()
    try:
        expect(page.get_by_test_id("control-message")).to_contain_text(
            re.compile("no control process|not running", re.I)
        )
    finally:
        site.start_control()
    expect(page.get_by_test_id("control")).to_contain_text(re.compile("alive", re.I))
