"""What can be looked at."""

import csv
import io
import json
import math
import sys

import pyarrow.parquet as parquet
import pytest

from beamctl.store.states import Role
from tests.system.routes.conftest import SECTION, TASK

pytestmark = pytest.mark.system


def get(client, path: str, **params):
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_health(quiet):
    answer = quiet.viewer.get(f"{quiet.url}/healthz", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "wrong": []})


def test_readiness(quiet, site):
    answer = quiet.viewer.get(f"{quiet.url}/readyz")
    assert answer.status_code == 503
    assert "no control process is running" in answer.json()["wrong"][0]
    for section in site.service.machines.sections:
        site.publish(section)
    site.wait_for(lambda: site.viewer.get(f"{site.url}/readyz").status_code == 200)
    site.store.live.publish({"service": {"is_halted": True}})
    answer = site.wait_for(lambda: [a for a in [site.viewer.get(f"{site.url}/readyz")] if a.status_code == 503])[0]
    assert "halted" in answer.json()["wrong"][0]
    site.store.live.publish({"service": {"is_halted": False}})


def test_service(site, quiet):
    found = get(site.viewer, "/service")
    assert found["control"]["is_alive"]
    assert found["control"]["owner"]
    assert found["last_event"] > 0
    assert found["store"].startswith("sqlite://")
    assert not get(quiet.viewer, "/service")["control"]["is_alive"]


def test_metrics(site, done):
    get(site.viewer, f"/runs/{done['id']}")
    answer = site.viewer.get(f"{site.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    said = answer.text
    assert 'beamctl_http_requests_total{method="GET",route="/api/v1/runs/{run}",status="200"}' in said
    assert 'beamctl_runs{state="accepted"}' in said
    assert "beamctl_control_alive 1.0" in said
    assert "viewer-1" not in said
    assert site.viewer.get(f"{site.url}/metrics", headers={"Authorization": ""}).status_code == 401


def test_unknown_paths_are_one_label(site):
    for n in range(3):
        site.viewer.get(f"{site.url}/nowhere/{n}")
    said = site.viewer.get(f"{site.url}/metrics").text
    assert 'route="none",status="404"' in said
    assert "nowhere" not in said


def test_machine(site, done):
    site.publish()
    found = get(site.viewer, "/machine")
    own = next(s for s in found["sections"] if s["key"] == SECTION)
    assert (own["run"] is not None, own["is_owned"], own["live"]["is_fresh"]) == (True, False, True)
    other = next(s for s in found["sections"] if s["key"] != SECTION)
    assert (other["state"], other["run"], other["owner"]) == ("idle", None, "")
    assert [t["name"] for t in get(site.viewer, "/machine/tasks")["tasks"]].count(TASK) == 1
    assert get(site.viewer, f"/machine/sections/{SECTION}")["key"] == SECTION
    assert site.viewer.get("/machine/sections/nowhere").status_code == 404


def test_a_section_at_work(site, begun):
    own = next(s for s in get(site.viewer, "/machine")["sections"] if s["key"] == SECTION)
    assert (own["run"], own["is_owned"], own["owner"], own["task"]) == (begun, True, "operator-1", TASK)
    assert own["max_steps"] == 1000
    site.wait_for(lambda: get(site.viewer, f"/runs/{begun}")["restore_owed"])


def test_live(site, quiet):
    site.publish(values=[math.nan, math.inf, 1.5], current_ma=math.nan, permit=None)
    path = f"/machine/sections/{SECTION}/live"
    site.wait_for(lambda: get(site.viewer, path)["values"] == [None, None, 1.5])
    found = get(site.viewer, path)
    assert (found["current_ma"], found["permit"], found["is_fresh"]) == (None, None, True)
    assert found["age_s"] < 3.0
    answer = quiet.viewer.get(f"/machine/sections/{SECTION}/live")
    assert (answer.status_code, answer.json()["code"]) == (409, "no-live-data")


def test_a_run(site, done, hostile):
    answer = site.viewer.get(f"/runs/{done['id']}")
    found = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    assert (found["state"], found["outcome"], found["is_over"], found["allowed"]) == ("accepted", "reached", True, [])
    assert (found["kind"], found["algorithm"], found["principal"], found["note"]) == (
        "tune",
        "bls",
        "operator-1",
        hostile,
    )
    assert found["initial"]["rms_mm"] > 0.5 > found["best"]["rms_mm"] == found["final"]["rms_mm"]
    assert 0 < found["step"] <= found["max_steps"]
    assert found["goal"] == "RMS below 0.5 mm"
    assert len(found["knobs"]) == 10 == len(found["channels"])
    assert (found["hint"], found["has_owner"], found["restore_owed"]) == ("", False, False)
    assert found["choice"]["algorithm"] == "bls"
    assert site.viewer.get("/runs/999999").status_code == 404
    assert site.viewer.get("/runs/0").status_code == 422


def test_steps(site, done):
    found = get(site.viewer, f"/runs/{done['id']}/steps")["steps"]
    assert [s["step"] for s in found] == sorted(s["step"] for s in found)
    assert found[0]["figures"] == done["initial"]
    assert found[-1]["figures"] == done["final"]
    assert {len(s["values"]) for s in found} == {len(s["setpoint_a"]) for s in found} == {10}


def test_setpoints_and_puts(site, done):
    puts = get(site.viewer, f"/runs/{done['id']}/puts")["puts"]
    assert {p["outcome"] for p in puts} == {"ok"}
    last = {p["pv"]: p["new"] for p in puts}
    site.publish()
    for line in get(site.viewer, f"/runs/{done['id']}/setpoints")["setpoints"]:
        assert line["last"] == last.get(line["pv"])
        assert (line["now"], line["readback"], line["is_owed"], line["restored"]) == (0.5, 0.5, False, "")
        assert line["snapshot"] is not None


def test_samples(site, done):
    path = f"/runs/{done['id']}/samples"
    answer = site.viewer.get(path)
    assert "attachment" in answer.headers["content-disposition"]
    assert f"run-{done['id']}-samples.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    as_json = get(site.viewer, path, format="json")
    table = parquet.read_table(io.BytesIO(site.viewer.get(path, params={"format": "parquet"}).content)).to_pylist()
    assert len(rows) == len(as_json) == len(table) > 0
    for row, item, line in zip(rows, as_json, table, strict=True):
        assert float(row["value"]) == item["value"] == line["value"]
        assert row["pv"] == item["pv"] == line["pv"]
        assert item["connected"] is line["connected"] is True
    assert site.viewer.get(path, params={"format": "pickle"}).status_code == 422
    assert site.viewer.get("/runs/999999/samples").status_code == 404


def test_export(site, done):
    found = get(site.viewer, f"/runs/{done['id']}/export")
    assert found["run"]["id"] == done["id"]
    assert found["request"]["id"] == done["request"]
    assert [e["kind"] for e in found["events"]].count("ended") == 1
    assert len(found["samples"]) == len(get(site.viewer, f"/runs/{done['id']}/samples", format="json"))


def test_lists_of_runs(site, done):
    mine = {"principal": "operator-1", "task": TASK, "section": SECTION}
    found = get(site.viewer, "/runs", **mine)["runs"]
    own = next(r for r in found if r["id"] == done["id"])
    assert {name: own[name] for name in own} == {name: done[name] for name in own}
    assert done["id"] in [r["id"] for r in get(site.viewer, "/runs", kind="tune", state="accepted")["runs"]]
    assert done["id"] not in [r["id"] for r in get(site.viewer, "/runs", kind="preflight")["runs"]]
    assert get(site.viewer, "/runs", principal="nobody") == {"runs": [], "next": None}
    assert site.viewer.get("/runs", params={"kind": "x"}).status_code == 422
    assert site.viewer.get("/runs", params={"state": "x"}).status_code == 422


def test_pages(site, done):
    for dry in range(4):
        site.until(site.ask(algorithm="bls", dry_run=True, note=f"page {dry}"))
    everything = get(site.viewer, "/runs", limit=200)["runs"]
    paged, before = [], {}
    while True:
        page = get(site.viewer, "/runs", limit=2, **before)
        paged += page["runs"]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert paged == everything
    assert [r["id"] for r in paged] == sorted((r["id"] for r in paged), reverse=True)
    assert {r["kind"] for r in paged[:4]} == {"advice"}
    for limit in (0, 201, "x"):
        assert site.viewer.get("/runs", params={"limit": limit}).status_code == 422


def test_figures_of_what_is_over_are_read_once(site, done, monkeypatch):
    get(site.viewer, "/runs")
    asked = []
    sound = site.store.pages.figures
    monkeypatch.setattr(
        site.store.pages, "figures", lambda runs, after=0: asked.append(list(runs)) or sound(runs, after)
    )
    assert done["id"] in [r["id"] for r in get(site.viewer, "/runs", limit=200)["runs"]]
    assert asked == []


def test_events_by_pages(site, done):
    after, seen = 0, []
    while page := get(site.viewer, "/events/log", after=after, limit=7)["events"]:
        seen += page
        after = page[-1]["seq"]
    assert [e["seq"] for e in seen] == list(range(1, len(seen) + 1))


def test_preflights(site):
    found = get(site.viewer, "/preflight")["sections"]
    assert SECTION in [s["section"] for s in found]
    assert site.viewer.get("/preflight/nowhere").status_code == 404


def test_agents_are_switched_by_admins(site):
    name = get(site.viewer, "/agents")["agents"][0]["id"]
    tag = site.viewer.get(f"/agents/{name}").headers["etag"]
    path, off = f"/agents/{name}/enabled", {"enabled": False, "reason": "tests"}
    assert site.operator.put(path, json=off, headers={"If-Match": tag}).status_code == 403
    assert site.admin.put(path, json=off).status_code == 428
    answer = site.admin.put(path, json=off, headers={"If-Match": tag})
    assert answer.status_code == 200
    assert not site.store.switches.enabled(name)
    again = site.admin.put(path, json={"enabled": True}, headers={"If-Match": tag})
    assert (again.status_code, again.json()["code"]) == (412, "changed-meanwhile")
    assert site.admin.put(path, json={"enabled": True}, headers={"If-Match": answer.headers["etag"]}).status_code == 200
    assert site.viewer.get("/agents/nobody").status_code == 404


def test_advice_needs_a_fresh_reading(site, quiet):
    answer = quiet.viewer.post("/advice", json={"task": TASK})
    assert (answer.status_code, answer.json()["code"]) == (409, "no-live-data")
    assert quiet.viewer.post("/advice", json={"task": "nothing"}).json()["code"] == "invalid"
    site.publish()
    answer = site.viewer.post("/advice", json={"task": TASK})
    assert answer.status_code == 200
    assert answer.json()["section"] == SECTION


def test_everything_is_closed_without_login(site):
    for path in ("/service", "/machine", "/runs", "/runs/1", "/requests", "/events", "/events/log", "/agents"):
        answer = site.viewer.get(path, headers={"Authorization": ""})
        assert (answer.status_code, answer.json()["code"]) == (401, "not-logged-in")


def test_viewers_only_look(site, begun):
    for path, body in (
        ("/runs", {"task": TASK}), (f"/runs/{begun}/abort", None), (f"/preflight/{SECTION}", {}),
        (f"/runs/{begun}/snapshot", {}),
    ):  # fmt: skip
        answer = site.viewer.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed"), path
    with site.someone(Role.OPERATOR) as (_, other):
        assert other.post(f"/runs/{begun}/abort").status_code == 202, "whoever has asked for it"


def test_numbers_are_json(site, done):
    for path in ("/machine", "/runs", f"/runs/{done['id']}", f"/runs/{done['id']}/steps", "/events/log?limit=1000"):
        json.loads(site.viewer.get(path).content, parse_constant=lambda word: pytest.fail(word))


def test_parquet_is_an_extra(site, done, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = site.viewer.get(f"/runs/{done['id']}/samples", params={"format": "parquet"})
    assert (answer.status_code, answer.json()["code"]) == (501, "missing-extra")
    assert "beamctl[parquet]" in answer.json()["detail"]
