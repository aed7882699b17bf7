"""The event stream: nothing is lost, nothing comes twice, and who does not read disturbs nobody."""

import threading
import time

import pytest

from beamctl.api.stream import hub as hubs
from beamctl.api.stream import response
from beamctl.store.states import Role
from tests.system.routes.conftest import SECTION
from tests.system.routes.streams import Stream, stalled, stream

pytestmark = pytest.mark.system


def end(site) -> int:
    return site.store.events.end().seq


def write(site, count: int, run: int | None = None) -> list[int]:
    return [site.store.events.append("tests", {"n": n}, run).seq for n in range(count)]


def test_from_now_on(quiet):
    write(quiet, 3)
    with stream(quiet.viewer) as one:
        one.wait_for(lambda s: s.of("tick"))
        written = write(quiet, 5)
        one.wait_for(lambda s: len(s.ids) >= 5)
        assert one.ids == written
        event = one.of("record")[0]
        assert (event["kind"], event["payload"], event["seq"]) == ("tests", {"n": 0}, written[0])


def test_headers_and_retry(quiet):
    with quiet.viewer.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert "content-length" not in answer.headers
        assert next(answer.iter_lines()) == "retry: 1000"


@pytest.mark.parametrize("way", ["resume", "after"])
def test_resume_without_loss_or_repetition(quiet, way):
    begin = end(quiet)
    expected = write(quiet, 40)
    with stream(quiet.viewer, **{way: begin}) as one:
        one.wait_for(lambda s: len(s.ids) >= 10)
    seen = one.ids
    expected += write(quiet, 30)
    while len(seen) < len(expected):
        with stream(quiet.viewer, **{way: seen[-1]}) as one:
            one.wait_for(lambda s: s.ids)
        seen += one.ids
    assert seen == expected


def test_the_header_wins(quiet):
    written = write(quiet, 4)
    with stream(quiet.viewer, resume=written[-2], after=0) as one:
        one.wait_for(lambda s: s.ids)
    assert one.ids == [written[-1]]


def test_from_the_very_beginning_through_the_store(quiet, monkeypatch):
    monkeypatch.setattr(hubs, "RING", 10)
    monkeypatch.setattr(response, "PAGE", 7)
    write(quiet, 50)
    quiet.wait_for(lambda: quiet.service.hub.end == end(quiet) and quiet.service.hub.first > 1)
    with stream(quiet.viewer, after=0) as one:
        one.wait_for(lambda s: len(s.ids) >= end(quiet))
        more = write(quiet, 25)
        one.wait_for(lambda s: s.ids and s.ids[-1] == more[-1])
    assert one.ids == list(range(1, more[-1] + 1))


def test_of_one_run_only(site, done):
    with stream(site.viewer, after=0, run=done["id"]) as one:
        one.wait_for(lambda s: any(e["kind"] == "ended" for e in s.of("record")))
    page = site.viewer.get("/events/log", params={"run": done["id"], "limit": 1000}).json()
    assert one.of("record") == page["events"]
    assert page["end"] >= page["events"][-1]["seq"]


def test_a_number_of_another_store(quiet):
    with stream(quiet.viewer, resume=end(quiet) + 1000) as one:
        one.wait_for(lambda s: s.of("tick"))
        written = write(quiet, 1)
        one.wait_for(lambda s: s.ids)
    assert one.ids == written


@pytest.mark.parametrize("number", ["x", "-1", "1e3", "99999999999999999999"])
def test_a_number_that_is_none(quiet, number):
    answer = quiet.viewer.get("/events", headers={"Last-Event-ID": number})
    assert answer.status_code in (400, 422)


def test_ticks(quiet):
    write(quiet, 1)
    with stream(quiet.viewer) as one:
        ticks = one.wait_for(lambda s: len(s.of("tick")) >= 3 and s.of("tick"))
    assert ticks[0]["end"] == end(quiet)
    assert not ticks[0]["control"]["is_alive"]


def test_two_clients_and_readings(site):
    with stream(site.viewer, live=[SECTION]) as wants, stream(site.admin) as not_wants:
        wants.wait_for(lambda s: s.of("tick"))
        for n in range(5):
            site.publish(setpoint_a=[float(n)])
            wants.wait_for(lambda s, n=n: s.of("live") and s.of("live")[-1]["setpoint_a"] == [float(n)])
        written = write(site, 2)
        for one in (wants, not_wants):
            one.wait_for(lambda s: s.ids[-2:] == written)
        assert not_wants.of("live") == []
        reading = wants.of("live")[-1]
    assert (reading["section"], reading["is_fresh"]) == (SECTION, True)
    answer = site.viewer.get("/events", params={"live": "nowhere"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_old_readings_are_not_sent_to_who_comes_later(site):
    site.publish(setpoint_a=[1.0])
    with stream(site.viewer, live=[SECTION]) as one:
        one.wait_for(lambda s: s.of("live"))
    site.publish(setpoint_a=[2.0])
    with stream(site.viewer, live=[SECTION]) as one:
        first = one.wait_for(lambda s: s.of("live"))[0]
    assert first["setpoint_a"] == [2.0]


def test_accounts_are_for_admins(site):
    with stream(site.viewer) as viewer, stream(site.admin) as admin:
        for one in (viewer, admin):
            one.wait_for(lambda s: s.of("tick"))
        with site.someone(Role.VIEWER) as (name, _):
            pass
        for one in (viewer, admin):
            one.wait_for(lambda s: any(e["kind"] == "user" for e in s.of("record")))
    assert all(e["payload"] is None for e in viewer.of("record") if e["kind"] in ("user", "key", "session"))
    assert any(name in str(e["payload"]) for e in admin.of("record") if e["kind"] == "user")
    log = site.viewer.get("/events/log", params={"after": admin.ids[0] - 1}).json()["events"]
    assert all(e["payload"] is None for e in log if e["kind"] in ("user", "key"))


def test_who_may_no_longer_listen_is_sent_away(quiet, monkeypatch):
    monkeypatch.setattr(response, "CHECK_S", 0.1)
    with quiet.someone(Role.VIEWER) as (name, client), stream(client) as one:
        one.wait_for(lambda s: s.of("tick"))
        quiet.store.users.change(name, enabled=False, principal="tests")
        one.wait_for(lambda s: s.is_over)
        assert one.of("bye") == [{}]


def test_too_many_of_one_account(quiet, monkeypatch):
    monkeypatch.setattr(hubs, "MOST_PER_ACCOUNT", 2)
    with quiet.someone(Role.VIEWER) as (_, client), stream(client), stream(client) as last:
        answer = client.get("/events")
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many")
        assert answer.headers["retry-after"]
        with quiet.someone(Role.VIEWER) as (_, other), stream(other):
            pass
        last.close()
        quiet.wait_for(lambda: _opens(client))


def _opens(client) -> bool:
    with client.stream("GET", "/events") as answer:
        return answer.status_code == 200


def test_too_many_of_all(quiet, monkeypatch):
    quiet.wait_for(lambda: quiet.service.hub.streams == 0)
    monkeypatch.setattr(hubs, "MOST_STREAMS", 0)
    assert quiet.viewer.get("/events").status_code == 429


def test_who_does_not_read_disturbs_nobody_and_is_dropped(quiet, monkeypatch):
    monkeypatch.setattr(hubs, "SEND_S", 1.0)
    before = quiet.service.hub.streams
    with quiet.someone(Role.VIEWER) as (name, client), stream(client) as reader:
        with stalled(quiet.port, quiet.key_of(name), after="0"):
            quiet.wait_for(lambda: quiet.service.hub.streams == before + 2)
            big, begin = "x" * 50_000, time.monotonic()
            delays = []
            while quiet.service.hub.streams > before + 1:
                assert time.monotonic() < begin + 60
                sent = time.monotonic()
                seq = quiet.store.events.append("tests", big).seq
                reader.wait_for(lambda s, seq=seq: s.ids and s.ids[-1] == seq)
                delays.append(time.monotonic() - sent)
        assert sorted(delays)[len(delays) // 2] < 0.5


def test_the_service_ends_at_once_with_streams_open(tmp_path):
    from tests.system.routes.conftest import Site, open_site

    with open_site(tmp_path) as site:
        assert isinstance(site, Site)
        streams = [Stream(site.viewer) for _ in range(5)]
        for one in streams:
            one.wait_for(lambda s: s.of("tick"))
        began = time.monotonic()
        ends = threading.Thread(target=site.shut)
        ends.start()
        for one in streams:
            one.wait_for(lambda s: s.is_over)
        ends.join()
        assert time.monotonic() - began < 5.0
        for one in streams:
            one.close()
