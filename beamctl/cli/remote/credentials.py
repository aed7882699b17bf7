"""Sessions of services, kept in a file that only its owner can read."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from beamctl.errors import ServiceError


def credentials_file() -> Path:
    """Where they are, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "beamctl" / "credentials.json"


def stored_token(server: str) -> str | None:
    """Token of the last login at a service; None where there was none.

    Raises:
        ServiceError: the file cannot be read.
    """
    found = _read().get(server)
    return None if found is None else str(found["token"])


def store_token(server: str, name: str, token: str) -> Path:
    """Keep a token, and say where; errors as :func:`stored_token`."""
    return _write({**_read(), server: {"name": name, "token": token}})


def forget_token(server: str) -> None:
    """Keep it no longer; errors as :func:`stored_token`."""
    kept = _read()
    if kept.pop(server, None) is not None:
        _write(kept)


def _read() -> dict[str, Any]:
    file = credentials_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unusable(file, error) from error
    if not isinstance(found, dict):
        raise _unusable(file, "not an object")
    return found


def _write(kept: dict[str, Any]) -> Path:
    """As a whole or not at all; readable by nobody else from its first byte on."""
    file = credentials_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=file.parent)  # mode 0600
        with os.fdopen(number, "w", encoding="utf-8") as out:
            json.dump(kept, out, indent=1)
        Path(name).replace(file)
    except OSError as error:
        raise _unusable(file, error) from error
    return file


def _unusable(file: Path, why: object) -> ServiceError:
    return ServiceError(f"{file}: {why}; it holds logins only, and may be removed", code="credentials")
