"""What the client sends, when it sends it again, and what it makes of answers; nothing is sent here, nothing waits."""

import inspect
import json

import httpx
import pytest

from beamctl.api.problem import CODES
from beamctl.api.schemas.machine import Service
from beamctl.api.schemas.runs import NewRequest, Request
from beamctl.client.access import Access
from beamctl.client.calls import ask, tell
from beamctl.client.client import AsyncClient, Client
from beamctl.client.groups.runs import RunCalls
from beamctl.client.work import Pause, Send
from beamctl.errors import (
    ConflictError,
    NotAllowedError,
    NotLoggedInError,
    ServiceError,
    ServiceUnreachableError,
)

NOT_SENT, LOST = httpx.ConnectError("refused"), httpx.ReadError("reset")
CONTROL = {"is_alive": True, "owner": "here", "heartbeat": None, "is_halted": False, "message": ""}
SERVICE = {
    "version": "0.1.0", "api_version": "1.0", "store": "sqlite", "machines": ["cafe2"], "control": CONTROL,
    "last_event": 3, "time": "2026-01-01T00:00:00Z",
}  # fmt: skip
REQUEST = {
    "id": 4, "task": "cm1-orbit", "section": "cafe2-cm1", "algorithm": "tbsac", "agent": "cafe2-orbit", "target": None,
    "max_steps": None, "step_percent": None, "dry_run": False, "review": False, "approval": False, "note": "",
    "principal": "demo", "state": "waiting", "reason": "", "created": "2026-01-01T00:00:00Z", "run": None,
    "control_is_alive": True, "message": "",
}  # fmt: skip


def answer(content, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=content, request=httpx.Request("GET", "http://here/"))


def problem(code: str, **more) -> httpx.Response:
    status, title = CODES[code]
    shown = {"type": f"urn:beamctl:problem:{code}", "title": title, "status": status, "detail": "7 A", "code": code}
    return answer(shown | more, status)


def needs(work, *answers) -> list:
    """What work has needed when the last answer is given to it, pauses passed over."""
    asked, answers = [next(work)], list(answers)
    while answers:
        if isinstance(asked[-1], Pause):
            asked.append(work.send(None))
        else:
            asked.append(work.send(answers.pop(0)))
    return asked


def end_of(work, *answers):
    with pytest.raises(StopIteration) as end:
        needs(work, *answers)
    return end.value.value


def reading(patience_s: float = 10.0):
    return ask(Access("http://here", "bck_1", patience_s), "/service", Service, a=1, b=None)


def doing(*, is_repeatable: bool = False):
    return tell(Access("http://here", "bck_1"), "POST", "/runs/1/pause", {"x": 1}, is_repeatable=is_repeatable)


class TestAnswers:
    def test_a_message(self):
        work = reading()
        sent = next(work)
        assert isinstance(sent, Send)
        assert sent.request.options()["params"] == {"a": 1}
        assert sent.request.path == "/api/v1/service"
        assert sent.request.headers["Authorization"] == "Bearer bck_1"
        with pytest.raises(StopIteration) as end:
            work.send(answer(SERVICE))
        assert end.value.value.last_event == 3

    def test_what_a_newer_service_adds_is_left_out(self):
        assert end_of(reading(), answer(SERVICE | {"moon": "full"})).version == "0.1.0"

    @pytest.mark.parametrize("wrong", [SERVICE | {"last_event": "x"}, {"a": 1}, []])
    def test_something_else_is_said_to_be_something_else(self, wrong):
        with pytest.raises(ServiceError, match="not one of a beamctl service") as raised:
            needs(reading(), answer(wrong))
        assert raised.value.code == "not-understood"

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("not-logged-in", NotLoggedInError),
            ("not-allowed", NotAllowedError),
            ("conflict", ConflictError),
            ("changed-meanwhile", ConflictError),
            ("not-found", ServiceError),
        ],
    )
    def test_a_problem_is_an_error(self, code, kind):
        with pytest.raises(kind, match="7 A") as raised:
            needs(reading(), problem(code))
        assert (type(raised.value), raised.value.code) == (kind, code)
        assert raised.value.status == CODES[code][0]

    def test_faults_of_fields_are_told(self):
        with pytest.raises(ServiceError) as raised:
            needs(reading(), problem("invalid", faults=[{"where": "body.target", "message": "too large"}]))
        assert raised.value.faults == ("body.target: too large",)

    def test_a_page_of_a_proxy_is_an_error_too(self):
        page = httpx.Response(418, text="<html>", request=httpx.Request("GET", "http://here/x"))
        with pytest.raises(ServiceError, match="418") as raised:
            needs(reading(), page)
        assert raised.value.code == "http"


class TestAgain:
    @pytest.mark.parametrize("first", [NOT_SENT, LOST, problem("store-unavailable")])
    def test_reading(self, first):
        assert end_of(reading(), first, first, answer(SERVICE)).version == "0.1.0"

    def test_pauses_grow(self):
        pauses = [n.seconds for n in needs(reading(100.0), *[LOST] * 6) if isinstance(n, Pause)]
        assert pauses == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]

    def test_patience_ends(self):
        with pytest.raises(ServiceUnreachableError, match=r"http://here \(reset\)"):
            needs(reading(0.1), LOST)

    def test_a_503_at_the_end_of_patience_says_what_the_service_said(self):
        with pytest.raises(ServiceError, match="7 A") as raised:
            needs(reading(0.1), problem("store-unavailable"))
        assert raised.value.code == "store-unavailable"

    def test_doing_only_where_it_was_not_sent(self):
        assert end_of(doing(), NOT_SENT, answer({})).status_code == 200
        with pytest.raises(ServiceUnreachableError):
            needs(doing(), LOST)
        with pytest.raises(ServiceError, match="7 A"):
            needs(doing(), problem("store-unavailable"))

    def test_doing_what_may_be_done_twice(self):
        assert end_of(doing(is_repeatable=True), LOST, problem("store-unavailable"), answer({})).status_code == 200

    def test_no_control_process_is_an_answer(self):
        with pytest.raises(ServiceError) as raised:
            needs(doing(is_repeatable=True), problem("control-down"))
        assert raised.value.code == "control-down"


class TestRuns:
    def test_the_same_idempotency_key_is_sent_again(self):
        seen = []

        def serve(request: httpx.Request) -> httpx.Response:
            seen.append((request.headers["Idempotency-Key"], json.loads(request.content)["task"]))
            if len(seen) == 1:
                raise LOST
            return httpx.Response(202, json=REQUEST)

        with Client("http://here", transport=httpx.MockTransport(serve)) as client:
            assert client.runs.start("cm1-orbit") == Request.model_validate(REQUEST)
            client.runs.start("cm1-orbit")
        keys = [key for key, _ in seen]
        assert keys[0] == keys[1] != keys[2]
        assert len(keys[0]) == 32

    def test_every_field_of_a_request_can_be_given(self):
        given = dict(inspect.signature(RunCalls.start._build).parameters)
        assert set(given) == {"self", "key", *NewRequest.model_fields}
        defaults = {name: field.default for name, field in NewRequest.model_fields.items() if name != "task"}
        assert {name: given[name].default for name in defaults} == defaults

    def test_a_bound_call_shows_its_arguments_and_its_purpose(self):
        with Client("http://here") as client:
            assert list(inspect.signature(client.runs.approve).parameters) == ["run", "version"]
            assert "approval" in client.runs.approve.__doc__


@pytest.mark.parametrize("url", ["127.0.0.1:8642", "ftp://here", "http://", "", "http://a:b"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_that_is_none(kind, url):
    with pytest.raises(ServiceError, match="no address"):
        kind(url)


def test_a_path_in_front_of_the_service_stays():
    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=SERVICE | {"store": request.url.path})

    with Client("http://here/tuning/", transport=httpx.MockTransport(serve)) as client:
        assert client.service().store == "/tuning/api/v1/service"


def test_a_proxy_never_stands_before_our_own_host(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for url in ("http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"):
        with Client(url) as client:
            assert client._way.http.trust_env is False
    with Client("http://elsewhere.example") as client:
        assert client._way.http.trust_env is True
