"""What people tell a run."""

import pytest

from beamctl.store.runs import NewRun
from beamctl.store.states import Role
from tests.system.routes.conftest import TASK

pytestmark = pytest.mark.system


def see(site, run: int) -> tuple[dict, dict[str, str]]:
    answer = site.viewer.get(f"/runs/{run}")
    return answer.json(), {"If-Match": answer.headers["etag"]}


def test_pause_resume_abort(site, begun):
    answer = site.operator.post(f"/runs/{begun}/pause")
    assert answer.status_code == 202
    assert (answer.json()["verb"], answer.json()["run"], answer.json()["control_is_alive"]) == ("pause", begun, True)
    held = site.until(begun, "hold")
    assert "resume" in held["allowed"]
    assert "paused by operator-1" in held["reason"]
    site.operator.post(f"/runs/{begun}/resume").raise_for_status()
    site.until(begun, "running")
    assert site.operator.post(f"/runs/{begun}/abort").status_code == 202
    ended = site.until(begun)
    assert (ended["state"], ended["outcome"], ended["restore_owed"]) == ("restored", "aborted", False)
    lines = site.viewer.get(f"/runs/{begun}/setpoints").json()["setpoints"]
    assert {line["restored"] for line in lines} <= {"restored", "untouched"}
    knobs = {k.setpoint_pv for k in site.service.machines.sections[ended["section"]].knobs}
    held = {pv: site.control.plant.setpoint(pv) for pv in knobs}
    assert held == pytest.approx({line["pv"]: line["snapshot"] for line in lines}, abs=1e-3)


def test_halt_and_restore(site, begun):
    site.wait_for(lambda: see(site, begun)[0]["restore_owed"])
    assert site.operator.post(f"/runs/{begun}/halt").status_code == 202
    site.until(begun, "halted")
    site.wait_for(lambda: see(site, begun)[0]["allowed"])
    halted, seen = see(site, begun)
    assert halted["allowed"] == ["abort", "restore", "leave", "clear"]
    assert (halted["restore_owed"], halted["is_over"], halted["has_owner"]) == (True, False, True)
    assert halted["hint"]
    lines = site.viewer.get(f"/runs/{begun}/setpoints").json()["setpoints"]
    assert any(line["is_owed"] for line in lines)
    without = site.operator.post(f"/runs/{begun}/restore")
    assert (without.status_code, without.json()["code"]) == (428, "version-needed")
    wrong = site.operator.post(f"/runs/{begun}/restore", headers={"If-Match": '"1-running-1"'})
    assert (wrong.status_code, wrong.json()["code"]) == (412, "changed-meanwhile")
    assert site.operator.post(f"/runs/{begun}/restore", headers=seen).status_code == 202
    assert site.until(begun)["state"] == "restored"


def test_the_version_changes_with_the_state(site, begun):
    _, running = see(site, begun)
    site.operator.post(f"/runs/{begun}/halt")
    site.until(begun, "halted")
    answer = site.operator.post(f"/runs/{begun}/clear", headers=running)
    assert answer.status_code == 412
    site.wait_for(lambda: site.operator.post(f"/runs/{begun}/clear", headers=see(site, begun)[1]).status_code == 202)
    cleared = site.until(begun)
    assert (cleared["state"], cleared["restore_owed"]) == ("halted", False)


def test_what_means_nothing(site, begun, done):
    for verb in ("takeover", "restore", "leave", "clear", "approve"):
        answer = site.operator.post(f"/runs/{begun}/{verb}", headers=see(site, begun)[1])
        assert answer.status_code in (409, 412), verb
    refused = site.store.audit.list(limit=1)[0]
    assert refused.action == f"approve run {begun}"
    for verb in ("abort", "halt", "accept", "clear"):
        answer = site.operator.post(f"/runs/{done['id']}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "has ended" in answer.json()["detail"]
    assert site.operator.post(f"/runs/{done['id']}/dance").status_code == 404
    assert site.operator.post("/runs/999999/abort").status_code == 404


def test_a_step_waits_for_approval(site):
    run = site.ask(algorithm="svd", approval=True, target=0.01)
    first = site.wait_for(lambda: [seen for seen in [see(site, run)] if seen[0]["proposal"]])[0]
    proposal = first[0]["proposal"]
    assert (len(proposal["setpoint_a"]), len(proposal["change_a"])) == (10, 10)
    assert proposal["predicted"]["rms_mm"] > 0
    assert {"approve", "abort", "halt", "accept", "resume"} <= set(first[0]["allowed"])
    assert "approve" in first[0]["hint"]
    assert site.viewer.get(f"/runs/{run}/puts").json()["puts"] == []
    assert site.operator.post(f"/runs/{run}/approve").status_code == 428
    assert site.operator.post(f"/runs/{run}/approve", headers=first[1]).status_code == 202
    second = site.wait_for(
        lambda: [seen for seen in [see(site, run)] if seen[0]["proposal"] and seen[0]["version"] != first[0]["version"]]
    )[0]
    put = {p["pv"]: p["new"] for p in site.viewer.get(f"/runs/{run}/puts").json()["puts"]}
    assert list(put.values()) == pytest.approx(proposal["setpoint_a"])
    stale = site.operator.post(f"/runs/{run}/approve", headers=first[1])
    assert stale.status_code == 412, "another step than the one that was looked at"
    assert site.operator.post(f"/runs/{run}/accept", headers=first[1]).status_code == 412
    site.operator.post(f"/runs/{run}/resume", headers=second[1]).raise_for_status()
    running = site.until(run, "running")
    assert running["proposal"] is None
    assert "all that follow" in running["reason"]
    assert site.end(run)["proposal"] is None


def test_a_hold(site):
    run = site.ask(algorithm="svd", review=True, target=2.0)
    site.until(run, "review")
    site.store.events.append("held", {"reason": "no beam", "restore_in_s": 30.0}, run)
    hold = see(site, run)[0]["hold"]
    assert hold["reason"] == "no beam"
    assert 25.0 < hold["restore_in_s"] <= 30.0
    site.end(run)
    assert see(site, run)[0]["hold"] is None


def test_written_down_without_control_process(quiet):
    lease = quiet.store.leases.section("cafe2-cm2")
    new = NewRun(
        section="cafe2-cm2", task="cm2-orbit", principal="p", agent="a", agent_hashes={}, configuration_hash=""
    )
    run = quiet.store.runs.create(lease, new).id
    assert see(quiet, run)[0]["has_owner"]
    lease.release()
    quiet.wait_for(lambda: not see(quiet, run)[0]["has_owner"])
    assert "no process is at work" in see(quiet, run)[0]["hint"].lower()
    answer = quiet.operator.post(f"/runs/{run}/abort")
    assert (answer.status_code, answer.json()["control_is_alive"]) == (202, False)
    assert "no control process" in answer.json()["message"]
    assert [c.verb.value for c in quiet.store.commands.pending(run)] == ["abort"]


def test_everybody_may_abort(site, begun):
    with site.someone(Role.OPERATOR) as (name, other):
        assert other.post(f"/runs/{begun}/abort").status_code == 202
    assert name in site.until(begun)["reason"]
    assert site.until(begun)["principal"] == "operator-1"
    assert site.until(begun)["task"] == TASK
