"""Both clients against the service, the control process and the soft IOC, all of them as processes."""

import asyncio
import csv
import json
from contextlib import aclosing

import pytest

from beamctl.api.schemas.events import Event, Tick
from beamctl.api.schemas.machine import Live
from beamctl.api.schemas.runs import Run
from beamctl.errors import ConflictError, NotAllowedError, NotLoggedInError, ServiceError
from beamctl.store.states import RequestState, RunState, Verb
from tests.system.client.conftest import PASSWORD

pytestmark = [pytest.mark.system, pytest.mark.slow]

TASK = "cm1-orbit"
WAITS = {"algorithm": "svd", "target": 0.01, "approval": True}
"""a run that goes on until something ends it"""


def begun(client, **choice) -> int:
    """The number of a run that has begun."""
    request = client.requests.settled(client.runs.start(TASK, **choice).id)
    assert request.run is not None, request
    return request.run


def until(client, run: int, is_so) -> Run:
    """A run as soon as something is so of it; looked at with every event and every tick."""
    for _ in client.runs.watch(run):
        found = client.runs.get(run)
        if is_so(found):
            return found
    raise AssertionError(client.runs.get(run))


class TestRuns:
    def test_from_begin_to_end(self, client, plant):
        request = client.runs.start(TASK, algorithm="bls", note="from the test")
        assert (request.section, request.principal, request.note) == (plant.section, "operator-1", "from the test")
        run = client.requests.settled(request.id).run
        events = list(client.runs.follow(run))
        kinds = [event.kind for event in events]
        assert kinds[:2] == ["created", "snapshot"]
        assert kinds[-2:] == ["result", "ended"]
        assert [e.seq for e in events] == [e.seq for e in plant.store.events.read(run=run, limit=1000)]
        ended = client.runs.get(run)
        assert (ended.state, ended.outcome, ended.is_over) == (RunState.ACCEPTED, "reached", True)
        assert client.requests.get(request.id).state is RequestState.DONE
        assert [e.seq for e in client.record.events(run=run, limit=1000).events] == [e.seq for e in events]

    def test_what_it_has_left(self, client):
        run = begun(client, algorithm="svd", target=0.05, max_steps=2)
        ended = client.runs.wait(run)
        steps = client.runs.steps(run).steps
        assert steps[0].step == 0
        assert len(steps[0].setpoint_a) == len(ended.knobs) == len(client.runs.setpoints(run).setpoints)
        puts = client.runs.puts(run).puts
        assert {put.outcome for put in puts} == {"ok"}
        rows = list(csv.DictReader(client.runs.samples(run).decode().splitlines()))
        assert len(rows) > 10 * len(steps)
        assert json.loads(client.runs.export(run))["run"]["id"] == run
        assert b"<html" in client.runs.report(run)[:200]
        assert run in [one.id for one in client.runs.list(task=TASK, state=ended.state).runs]
        back = client.requests.settled(client.runs.snapshot(run, note="as it was").id).run
        assert client.runs.wait(back).kind == "snapshot"

    def test_the_same_key_is_the_same_request(self, client):
        first = client.runs.start(TASK, key="k-1", **WAITS)
        assert client.runs.start(TASK, key="k-1", **WAITS).id == first.id
        with pytest.raises(ConflictError, match="something else") as raised:
            client.runs.start(TASK, key="k-1", algorithm="bls")
        assert raised.value.code == "key-reused"

    def test_commands(self, client):
        run = begun(client, **WAITS)
        until(client, run, lambda found: found.proposal)
        client.runs.pause(run)
        until(client, run, lambda found: found.state is RunState.HOLD)
        client.runs.command(run, Verb.RESUME)
        until(client, run, lambda found: found.proposal)
        with pytest.raises(ConflictError, match="takeover is for a run that is conflict"):
            client.runs.takeover(run)
        told = client.runs.abort(run)
        assert (told.verb, told.control_is_alive) == (Verb.ABORT, True)
        assert client.runs.wait(run).state is RunState.RESTORED
        with pytest.raises(ConflictError, match="has ended"):
            client.runs.abort(run)

    def test_approval_of_what_was_seen(self, client):
        run = begun(client, **WAITS)
        first = until(client, run, lambda found: found.proposal)
        assert Verb.APPROVE in first.allowed
        client.runs.approve(run, first.version)
        second = until(client, run, lambda found: found.proposal and found.version != first.version)
        with pytest.raises(ConflictError) as raised:
            client.runs.approve(run, first.version)
        assert raised.value.code == "changed-meanwhile"
        client.runs.approve(run)
        until(client, run, lambda found: found.step > second.step)

    def test_halted_runs_are_over_for_who_follows(self, client):
        run = begun(client, **WAITS)
        first = until(client, run, lambda found: found.proposal)
        client.runs.approve(run, first.version)
        until(client, run, lambda found: found.proposal and found.version != first.version)
        client.runs.halt(run)
        assert "result" in [event.kind for event in client.runs.follow(run)][-3:]
        left = client.runs.wait(run)
        assert (left.state, left.is_over, left.restore_owed) == (RunState.HALTED, False, True)
        client.runs.restore(run)
        assert client.runs.wait(run).state is RunState.RESTORED

    def test_watching_brings_ticks(self, client):
        run = begun(client, **WAITS)
        messages = []
        for message in client.runs.watch(run):
            messages.append(message)
            if sum(isinstance(m, Tick) for m in messages) == 2:
                break
        assert messages[0].kind == "created"


class TestRefused:
    def test_nobody(self, plant):
        with plant.client(None) as client, pytest.raises(NotLoggedInError, match="Bearer"):
            client.service()

    def test_a_role_that_is_too_low(self, plant):
        with plant.client(plant.viewer) as client, pytest.raises(NotAllowedError, match="operator"):
            client.runs.start(TASK)

    def test_what_is_not_there(self, client):
        for look in (client.runs.get, client.runs.steps, client.requests.get):
            with pytest.raises(ServiceError) as raised:
                look(987654)
            assert (raised.value.code, raised.value.status) == ("not-found", 404)
        with pytest.raises(ServiceError, match="987654"):
            next(client.runs.follow(987654))

    def test_fields_that_are_wrong(self, client):
        with pytest.raises(ServiceError) as raised:
            client.runs.start(TASK, target=-1.0, max_steps=0)
        assert raised.value.code == "invalid"
        assert {fault.partition(":")[0] for fault in raised.value.faults} == {"body.target", "body.max_steps"}


class TestLooking:
    def test_the_service(self, client):
        assert client.service().control.is_alive
        assert client.ready().status == "ok"
        assert "beamctl" in client.metrics()

    def test_sections(self, client, plant):
        assert plant.section in [section.key for section in client.machine.overview().sections]
        assert TASK in [task.name for task in client.machine.tasks().tasks]
        detail = client.machine.section(plant.section)
        assert len(client.machine.live(plant.section).setpoint_a) == len(detail.knobs)

    def test_advice(self, client):
        advice = client.machine.advice(TASK, algorithms=["bls", "svd"])
        assert {"bls", "svd"} <= {option.algorithm for option in advice.options}

    def test_preflights(self, client, plant):
        assert plant.section in [section.section for section in client.preflight.list().sections]
        with pytest.raises(ServiceError) as raised:
            client.preflight.get(plant.section)
        assert raised.value.code == "not-found"

    def test_live_readings_come_with_the_stream(self, client, plant):
        for message in client.events(live=[plant.section]):
            if isinstance(message, Live):
                assert message.section == plant.section
                return


class TestAccounts:
    def test_logging_in_and_out(self, plant):
        with plant.client(plant.admin) as admin, plant.client(None) as client:
            admin.users.create("shift", "operator", PASSWORD)
            with pytest.raises(NotLoggedInError):
                client.session.log_in("shift", "wrong " + PASSWORD)
            session = client.session.log_in("shift", PASSWORD)
            assert (session.name, session.via) == ("shift", "session")
            assert session.must_change_password
            with pytest.raises(NotAllowedError, match="password"):
                client.machine.tasks()
            client.session.change_password(PASSWORD, PASSWORD + "!")
            assert client.machine.tasks().tasks
            with plant.client(session.token) as other:
                assert other.session.get().name == "shift"
            client.session.log_out()
            with pytest.raises(NotLoggedInError):
                client.session.get()
            admin.users.remove("shift")

    def test_users_are_changed_in_the_version_that_was_seen(self, plant):
        with plant.client(plant.admin) as admin:
            admin.users.create("guest", "viewer")
            seen = admin.users.version("guest")
            assert admin.users.change("guest", role="operator", version=seen).role == "operator"
            with pytest.raises(ConflictError):
                admin.users.change("guest", role="admin", version=seen)
            assert admin.users.change("guest", enabled=False).enabled is False
            assert "guest" in [user.name for user in admin.users.list().users]
            admin.users.remove("guest")
            with pytest.raises(ServiceError, match="guest"):
                admin.users.get("guest")

    def test_keys(self, plant):
        with plant.session("keeper", "operator") as client:
            key = client.keys.create("logbook", "viewer", days=1)
            with plant.client(key.secret) as program:
                assert program.session.get().role == "viewer"
                with pytest.raises(NotAllowedError, match="key cannot make keys"):
                    program.keys.create("another", "viewer")
                client.keys.revoke(key.id)
                with pytest.raises(NotLoggedInError):
                    program.session.get()
            assert [one.revoked for one in client.keys.list().keys if one.id == key.id] == [True]

    def test_agents_are_switched(self, plant):
        with plant.client(plant.admin) as admin:
            assert admin.agents.switch("cafe2-orbit", enabled=False, reason="a test").enabled is False
            assert admin.agents.get("cafe2-orbit").switch_reason == "a test"
            seen = admin.agents.version("cafe2-orbit")
            assert admin.agents.switch("cafe2-orbit", enabled=True, version=seen).enabled
            assert "cafe2-orbit" in [agent.id for agent in admin.agents.list().agents]

    def test_refusals_are_on_record(self, plant):
        with plant.client(plant.viewer) as viewer, pytest.raises(NotAllowedError):
            viewer.runs.start(TASK)
        with plant.client(plant.admin) as admin:
            assert admin.record.refusals(limit=1).refusals[0].principal == "viewer-1"


class TestAwaiting:
    def test_from_begin_to_end(self, plant):
        async def tune():
            async with plant.async_client(plant.operator) as client:
                request = await client.requests.settled((await client.runs.start(TASK, algorithm="bls")).id)
                events = [event async for event in client.runs.follow(request.run)]
                return await client.runs.get(request.run), events

        run, events = asyncio.run(tune())
        assert run.is_over
        assert [e.seq for e in events] == [e.seq for e in plant.store.events.read(run=run.id, limit=1000)]

    def test_many_at_once(self, plant):
        async def look():
            async with plant.async_client(plant.viewer) as client:
                return await asyncio.gather(client.service(), client.machine.tasks(), client.runs.list(limit=3))

        service, tasks, runs = asyncio.run(look())
        assert service.control.is_alive
        assert tasks.tasks
        assert len(runs.runs) <= 3

    def test_errors_and_streams(self, plant):
        async def look():
            async with plant.async_client(plant.viewer) as client:
                with pytest.raises(NotAllowedError):
                    await client.runs.start(TASK)
                async with aclosing(client.events(after=0)) as events:
                    return await anext(events)

        assert isinstance(first := asyncio.run(look()), Event)
        assert first.seq == 1
