"""Accounts, keys, and switches of agents, as an admin sees them."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from beamctl.store.states import Role

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("browser")]


def row_of(page: Page, table: str, words: str):
    return page.get_by_test_id(table).locator("tbody tr", has_text=words)


def test_a_key_is_shown_once(open_page):
    page = open_page("admin/keys", Role.ADMIN)
    page.get_by_test_id("new-key-label").fill("archiver")
    page.get_by_test_id("new-key-scope").select_option("viewer")
    page.get_by_test_id("new-key-make").click()
    secret = page.get_by_test_id("secret").inner_text()
    assert re.fullmatch(r"bck_[\w-]{40,}", secret)
    page.reload()
    row = row_of(page, "keys", "archiver")
    expect(row).to_contain_text("Valid")
    assert secret not in page.content()
    row.get_by_role("button", name="Revoke").click()
    assert Axe().run(page).response["violations"] == []
    page.get_by_test_id("dialog-confirm").click()
    expect(row).to_contain_text("Revoked")


def test_an_account_that_somebody_else_changes_meanwhile(site, open_page):
    page = open_page("admin/accounts", Role.ADMIN)
    page.get_by_test_id("new-user-name").fill("night-shift")
    page.get_by_test_id("new-user-role").select_option("viewer")
    page.get_by_test_id("new-user-password").fill("long enough for now")
    page.get_by_test_id("new-user-make").click()
    row = row_of(page, "users", "night-shift")
    expect(row).to_contain_text("has to change the password")
    site.store.users.change("night-shift", role=Role.OPERATOR, principal="tests")
    row.get_by_role("button", name="Disable").click()
    expect(page.get_by_test_id("notice").first).to_contain_text("meanwhile")
    expect(row.locator("select")).to_have_value("operator")
    assert site.store.users.get("night-shift").enabled
    row.get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("Disabled")
    row.get_by_role("button", name="Remove").click()
    page.get_by_test_id("dialog-confirm").click()
    expect(row).to_have_count(0)


def test_a_password_that_was_set_by_somebody_else_is_changed_first(site, open_page):
    hashed = site.store.users.get("viewer").password_hash
    site.store.users.create("newcomer", Role.VIEWER, hashed, must_change=True, principal="tests")
    page = open_page("history", role=None)
    page.get_by_test_id("login-name").fill("newcomer")
    page.get_by_test_id("login-password").fill("correct horse battery")
    page.get_by_test_id("login-submit").click()
    page.get_by_test_id("password-old").fill("correct horse battery")
    page.get_by_test_id("password-new").fill("a better one by far")
    page.get_by_test_id("password-again").fill("a better one by fat")
    page.get_by_test_id("password-submit").click()
    expect(page.get_by_test_id("password-fault")).to_contain_text("differ")
    page.get_by_test_id("password-again").fill("a better one by far")
    page.get_by_test_id("password-submit").click()
    expect(page.get_by_test_id("view-history")).to_be_visible()


def test_an_agent_that_is_disabled_is_offered_no_more(site, open_page):
    page = open_page("agents/cafe2-orbit", Role.ADMIN)
    tuning = open_page(f"tune/{site.section('cafe2-cm1')}")
    expect(tuning.get_by_test_id("agent")).to_contain_text("cafe2-orbit")
    page.get_by_test_id("switch-agent").click()
    page.get_by_test_id("switch-reason").fill("odd steps yesterday")
    page.get_by_test_id("dialog-confirm").click()
    expect(page.get_by_test_id("agent-enabled")).to_contain_text("Disabled")
    expect(page.get_by_text("odd steps yesterday")).to_be_visible()
    expect(tuning.get_by_test_id("agent")).not_to_contain_text("cafe2-orbit")
    page.get_by_test_id("switch-agent").click()
    page.get_by_test_id("dialog-confirm").click()
    expect(page.get_by_test_id("agent-enabled")).to_contain_text("Enabled")
    expect(tuning.get_by_test_id("agent")).to_contain_text("cafe2-orbit")
