"""Asking for runs."""

import threading

import pytest

from beamctl.store.states import RequestState, Role
from tests.system.routes.conftest import SECTION, TASK

pytestmark = pytest.mark.system
ASKED = {"task": TASK, "algorithm": "bls", "preflight": 0, "note": "tests"}


def test_waits_without_control_process(quiet):
    answer = quiet.operator.post("/runs", json=ASKED)
    made = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/requests/{made['id']}"
    assert (made["state"], made["run"], made["control_is_alive"]) == ("waiting", None, False)
    assert "no control process" in made["message"]
    assert (made["note"], made["principal"], made["section"]) == ("tests", "operator-1", SECTION)
    assert quiet.viewer.get(answer.headers["location"].removeprefix("/api/v1")).json() == made
    assert quiet.viewer.get("/requests", params={"state": "waiting"}).json()["requests"][0] == made
    gone = quiet.operator.delete(f"/requests/{made['id']}")
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    again = quiet.operator.delete(f"/requests/{made['id']}")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert quiet.operator.delete("/requests/999999").status_code == 404


def test_refused_without_control_process(quiet):
    before = len(quiet.store.requests.list(limit=1000))
    answer = quiet.operator.post("/runs", json=ASKED | {"if_control_down": "refuse"})
    assert (answer.status_code, answer.json()["code"]) == (503, "control-down")
    assert len(quiet.store.requests.list(limit=1000)) == before
    refusal = quiet.store.audit.list(limit=1)[0]
    assert (refusal.principal, refusal.action) == ("operator-1", f"bls {TASK}")


def test_one_key_one_request(quiet):
    key = {"Idempotency-Key": "k-1"}
    first = quiet.operator.post("/runs", json=ASKED, headers=key)
    again = quiet.operator.post("/runs", json=ASKED, headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    refusing = quiet.operator.post("/runs", json=ASKED | {"if_control_down": "refuse"}, headers=key)
    assert refusing.json()["id"] == first.json()["id"], "it was asked for already"
    other = quiet.operator.post("/runs", json=ASKED | {"max_steps": 3}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")
    with quiet.someone(Role.OPERATOR) as (name, someone):
        theirs = someone.post("/runs", json=ASKED, headers=key)
        assert theirs.json()["id"] != first.json()["id"]
        assert theirs.json()["principal"] == name
    without = quiet.operator.post("/runs", json=ASKED)
    assert without.json()["id"] != first.json()["id"]
    for bad in ("", "a b", "x" * 151):
        assert quiet.operator.post("/runs", json=ASKED, headers={"Idempotency-Key": bad}).status_code == 422


def test_one_key_sent_at_once(quiet):
    answers = []

    def ask() -> None:
        answers.append(quiet.operator.post("/runs", json=ASKED, headers={"Idempotency-Key": "at-once"}).json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "nothing"}, {"task": TASK, "algorithm": "nobody"}, {"task": TASK, "agent": "nobody"},
        {"task": TASK, "target": 0}, {"task": TASK, "max_steps": True}, {"task": TASK, "more": 1}, {}, [],
    ],
)  # fmt: skip
def test_what_cannot_be_asked(quiet, wrong):
    before = len(quiet.store.requests.list(limit=1000))
    answer = quiet.operator.post("/runs", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert len(quiet.store.requests.list(limit=1000)) == before


def test_one_run_per_section(site, begun):
    answer = site.operator.post("/runs", json=ASKED)
    assert (answer.status_code, answer.json()["code"]) == (409, "section-busy")
    assert f"belongs to run {begun}" in answer.json()["detail"]
    assert "operator-1" in answer.json()["detail"]


def test_a_repeated_request_is_not_refused_by_its_own_run(site):
    key = {"Idempotency-Key": "repeated"}
    asked = {"task": TASK, "algorithm": "svd", "preflight": 0, "target": 0.01}
    first = site.operator.post("/runs", json=asked, headers=key).json()
    run = site.wait_for(lambda: site.viewer.get(f"/requests/{first['id']}").json()["run"])
    again = site.operator.post("/runs", json=asked, headers=key)
    assert (again.status_code, again.json()["id"], again.json()["run"]) == (202, first["id"], run)
    site.end(run)
    site.wait_for(lambda: site.store.requests.get(first["id"]).state is RequestState.DONE)


def test_snapshot_and_preflight(quiet, site, done):
    answer = quiet.operator.post(f"/preflight/{SECTION}", json={"note": "look"})
    assert (answer.status_code, answer.json()["algorithm"], answer.json()["note"]) == (202, "preflight", "look")
    assert quiet.operator.post("/preflight/nowhere", json={}).status_code == 404
    assert quiet.operator.post("/runs/999/snapshot", json={}).status_code == 404
    assert site.operator.post(f"/runs/{done['id']}/snapshot", json={"of": "worst"}).status_code == 422


def test_pages_of_requests(quiet):
    made = [quiet.operator.post("/runs", json=ASKED).json()["id"] for _ in range(5)]
    first = quiet.viewer.get("/requests", params={"limit": 3}).json()
    assert [r["id"] for r in first["requests"]] == made[:1:-1]
    assert first["next"] == made[2]
    second = quiet.viewer.get("/requests", params={"limit": 3, "before": first["next"]}).json()
    assert [r["id"] for r in second["requests"]][:2] == [made[1], made[0]]
