"""A soft IOC of our own: on a free port of loopback, gone when we are."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from beamctl.errors import ChannelConnectionError
from beamctl.settings import Settings

START_LIMIT_S = 60.0


def ioc_command(settings: Settings, scenario: str | None, seed: int, port: int) -> list[str]:
    """Command line of a soft IOC for all machines of a deployment; port 0 takes the first free one."""
    command = [
        sys.executable, "-m", "ioc", "--prefix", settings.prefix,
        "--seed", str(seed), "--port", str(port), "--die-with-parent",
    ]  # fmt: skip
    for name in settings.machine:
        command += ["--machine", name]
    if scenario is not None:
        command += ["--scenario", scenario]
    if settings.ion is not None:
        command += ["--ion", settings.ion]
    return command


def ioc_environment() -> dict[str, str]:
    """This process's environment without what would tell an IOC another port."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_CA_", "EPICS_CAS_SERVER_PORT"))}


def reach(ready: dict[str, Any]) -> dict[str, str]:
    """Environment variables with which clients reach the IOC that said READY."""
    return {
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(ready["port"]),
        "EPICS_CA_REPEATER_PORT": str(ready["repeater_port"]),
    }


@contextmanager
def soft_ioc(settings: Settings, scenario: str | None, seed: int) -> Iterator[dict[str, Any]]:
    """A soft IOC; the environment of this process points to it.

    Yields:
        what it said when it was ready: port, repeater_port, seed, scenario, pvs.

    Raises:
        ChannelConnectionError: it did not start; its output is in the message.
    """
    process = subprocess.Popen(
        ioc_command(settings, scenario, seed, 0),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ioc_environment(),
    )
    try:
        ready = wait_until_ready(process)
        os.environ.update(reach(ready))
        yield ready
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_until_ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a soft IOC says when it serves; errors as :func:`soft_ioc`."""
    lines: list[str] = []
    deadline = time.monotonic() + START_LIMIT_S
    for line in process.stdout or ():
        if line.startswith("READY "):
            ready: dict[str, Any] = json.loads(line.removeprefix("READY "))
            return ready
        lines.append(line)
        if time.monotonic() > deadline:
            break
    raise ChannelConnectionError(f"the soft IOC did not start:\n{''.join(lines)}")
