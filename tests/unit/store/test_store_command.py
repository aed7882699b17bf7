import json
import sqlite3

import pytest
from typer.testing import CliRunner

from beamctl.cli import store as _commands  # noqa: F401  (registers itself)
from beamctl.cli.app import app
from beamctl.engine.base import Reading
from beamctl.errors import BeamControlError
from beamctl.store.open import open_store
from beamctl.store.runs import NewRun


@pytest.fixture
def url(tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path}/beamctl.db"
    with open_store(address) as store, store.leases.section("cm1") as lease:
        new = NewRun(section="cm1", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c")
        run = store.runs.create(lease, new).id
        store.samples.append(run, 1, [("pv", Reading(0.1))])
    monkeypatch.setenv("BEAMCTL_STORE", address)
    return address


def call(*arguments: str):
    return CliRunner().invoke(app, ["store", *arguments])


def test_check_counts_and_verifies(url):
    done = call("check")
    assert done.exit_code == 0
    said = dict(line.split(None, 1) for line in done.stdout.splitlines() if not line.startswith(("end", "unsettled")))
    assert said["store"] == url
    assert said["database"] == "sound"
    assert said["events"].startswith("2, ")
    end = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("end of chain"))
    assert call("check", "--end", end).exit_code == 0
    assert isinstance(call("check", "--end", f"2:{'0' * 64}").exception, BeamControlError)
    assert call("check", "--end", "2:zz").exit_code == 2


def test_check_shows_tampering(url, tmp_path):
    with sqlite3.connect(tmp_path / "beamctl.db") as connection:
        connection.execute("DROP TRIGGER events_keep")
        connection.execute("UPDATE events SET principal = 'nobody' WHERE seq = 2")
    connection.close()
    done = call("check")
    assert "CHAIN BROKEN" in done.stdout
    assert isinstance(done.exception, BeamControlError)
    assert "event 2 was changed" in str(done.exception)


def test_backup_is_a_store(url, tmp_path):
    assert call("backup", str(tmp_path / "copy.db")).exit_code == 0
    assert call("check", "--store", f"sqlite:///{tmp_path}/copy.db").exit_code == 0


def test_export_writes_a_file(url, tmp_path):
    out = tmp_path / "run.json"
    assert call("export", "1", "--out", str(out)).exit_code == 0
    assert json.loads(out.read_text())["samples"][0]["value"] == 0.1
    assert call("export", "1", "--format", "csv").stdout.splitlines()[1].startswith("1,pv,0.1,")
    assert isinstance(call("export", "2", "--out", str(tmp_path / "x")).exception, BeamControlError)
    assert isinstance(call("export", "1", "--out", str(tmp_path / "no" / "x")).exception, BeamControlError)
    assert [path.name for path in tmp_path.glob("*x*")] == []


def test_nothing_is_made_where_there_is_no_store(tmp_path):
    done = call("check", "--store", f"sqlite:///{tmp_path}/typo.db")
    assert "no file" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
