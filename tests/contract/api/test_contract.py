"""The contract is a file that is reviewed; it changes together with its version."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from beamctl.api.contract import contract, contract_hash
from beamctl.api.problem import CODES
from beamctl.api.version import API_VERSION

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
OPERATIONS = [
    (path, method, operation) for path, item in contract()["paths"].items() for method, operation in item.items()
]
IDS = [f"{method} {path}" for path, method, _ in OPERATIONS]


def test_the_file_is_up_to_date():
    printed = subprocess.run(
        [sys.executable, "-m", "beamctl", "api-schema"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed == (FOLDER / "openapi.yaml").read_text(encoding="utf-8"), (
        "run: beamctl api-schema --out docs/reference"
    )


def test_the_version_counts_every_change():
    versions = yaml.safe_load((FOLDER / "api-versions.yaml").read_text())
    assert versions[API_VERSION] == contract_hash(), (
        f"the contract has changed since version {API_VERSION}: count API_VERSION up in beamctl/api/version.py, then "
        "run: beamctl api-schema --out docs/reference"
    )
    assert list(versions)[-1] == API_VERSION
    assert len(set(versions.values())) == len(versions)


def test_a_change_under_the_same_version_is_not_written(tmp_path):
    (tmp_path / "api-versions.yaml").write_text(f"'{API_VERSION}': another\n")
    command = [sys.executable, "-m", "beamctl", "api-schema", "--out", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 2
    assert "count API_VERSION up" in " ".join(refused.stderr.split())
    assert not (tmp_path / "openapi.yaml").exists()
    subprocess.run([*command, "--amend"], check=True, timeout=60)
    assert yaml.safe_load((tmp_path / "api-versions.yaml").read_text())[API_VERSION] == contract_hash()
    assert yaml.safe_load((tmp_path / "openapi.yaml").read_text()) == contract()


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=IDS)
def test_every_operation_says_who_may_and_what_can_go_wrong(path, method, operation):
    assert len(operation["tags"]) == 1
    assert len(operation["description"]) > 5
    role, responses = operation["x-least-role"], operation["responses"]
    assert bool(operation["security"]) == (role != "public")
    if role != "public":
        assert {"401", "403"} <= set(responses)
    if "requestBody" in operation:
        assert {"400", "413", "415", "422"} <= set(responses)
    if "{" in path:
        assert "404" in responses
    assert {"500", "503"} <= set(responses)
    for status, response in responses.items():
        if int(status) >= 400 and (path, status) != ("/readyz", "503"):
            assert response["$ref"] == f"#/components/responses/Problem{status}"
            response = contract()["components"]["responses"][f"Problem{status}"]
            assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
        assert response["description"]


def test_every_code_belongs_to_an_error_status():
    assert all(400 <= status < 600 and title for status, title in CODES.values())


def test_what_the_framework_would_say_is_nowhere():
    assert not [name for name in contract()["components"]["schemas"] if "Validation" in name]
