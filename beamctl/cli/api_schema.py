"""``beamctl api-schema``: the contract of the service as a file, for reviews and for generators of clients."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from beamctl.cli.app import app
from beamctl.errors import BeamControlError

CONTRACT, VERSIONS = "openapi.yaml", "api-versions.yaml"


@app.command("api-schema", hidden=True)
def api_schema(
    out: Annotated[Path | None, typer.Option(help="Folder for openapi.yaml and api-versions.yaml.")] = None,
    amend: Annotated[
        bool, typer.Option("--amend", help="The contract may change under its version, which nobody has seen yet.")
    ] = False,
) -> None:
    """Print the contract of the service (OpenAPI 3.1), or write it into a folder with the hash of its version."""
    from beamctl.api.contract import contract, contract_hash
    from beamctl.api.version import API_VERSION

    if out is None:
        typer.echo(as_yaml(contract()), nl=False)
        return
    versions = out / VERSIONS
    known: dict[str, str] = yaml.safe_load(versions.read_text()) if versions.exists() else {}
    if known.get(API_VERSION, contract_hash()) != contract_hash() and not amend:
        raise BeamControlError(
            f"the contract is not the one that is known as version {API_VERSION}: count API_VERSION up in "
            "beamctl/api/version.py"
        )
    (out / CONTRACT).write_text(as_yaml(contract()), encoding="utf-8")
    versions.write_text(as_yaml(known | {API_VERSION: contract_hash()}), encoding="utf-8")


def as_yaml(told: Any) -> str:
    """YAML, always the same for the same."""
    return str(yaml.safe_dump(told, allow_unicode=True, sort_keys=False, width=120))
