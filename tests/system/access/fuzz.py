"""Schemathesis against a running service, as somebody of a role."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from beamctl.api.auth.tokens import SESSION, new_token, token_hash
from beamctl.store.events import now
from beamctl.store.open import Store
from beamctl.store.states import Role

FOLDER = Path(__file__).parent
CONTRACT = FOLDER.parents[2] / "docs" / "reference" / "openapi.yaml"


@dataclass(frozen=True)
class Fuzzed:
    """What came of it.

    Attributes:
        cases: requests that were made up and sent.
        is_clean: nothing was found, and everything ran.
        output: of schemathesis.
        is_still_in: the credential was good to the end.
    """

    cases: int
    is_clean: bool
    output: str
    is_still_in: bool


def fuzz(store: Store, url: str, role: Role, *options: str) -> Fuzzed:
    """Run it to its end.

    Args:
        store: of the service; a session is made there, which no request can guess.
        url: of the service.
        role: who asks.
        options: of ``schemathesis run``.
    """
    name, token = f"fuzz-{role.value}", new_token(SESSION)
    if store.users.find(name) is None:
        store.users.create(name, role, None, principal="tests")
    store.sessions.create(token_hash(token), name, now() + timedelta(hours=6))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml"),
            "run", str(CONTRACT), "--url", url, "--generation-database", "none", *options,
        ],
        env={**os.environ, "BEAMCTL_FUZZ_TOKEN": token}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    cases = re.search(r"(\d+) generated", done.stdout)
    asked = httpx.get(f"{url}/api/v1/session", headers={"Authorization": f"Bearer {token}"}, timeout=60.0)
    return Fuzzed(
        int(cases.group(1)) if cases else 0, done.returncode == 0, done.stdout + done.stderr, asked.status_code == 200
    )
