"""``beamctl store``: is everything still there, copy it, hand a run to others."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from beamctl.cli.app import app, deployment
from beamctl.errors import StoreDamagedError, StoreWriteError
from beamctl.store.backup import back_up
from beamctl.store.chain import ChainEnd
from beamctl.store.check import StoreReport, check_store
from beamctl.store.export import ExportFormat, export_run
from beamctl.store.open import Store, open_store

store_app = typer.Typer(
    help="The record of requests, runs and every write: check, backup, export.", no_args_is_help=True
)
app.add_typer(store_app, name="store")
Url = Annotated[
    str | None,
    typer.Option("--store", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [BEAMCTL_STORE]"),
]


@store_app.command()
def check(
    context: typer.Context,
    store: Url = None,
    end: Annotated[
        str | None, typer.Option(metavar="SEQ:HASH", help="End of the chain that an earlier check printed.")
    ] = None,
) -> None:
    """Check the database, every hash from the first event to the last, and count what is there.

    Writes nothing, and may be used while beamctl runs. Exit code 2 where anything is wrong.

    Note the printed end of the chain outside of the store (a logbook will do) and give it to a later check as --end:
    only so can a store that was rewritten as a whole be told from the true one.
    """
    with _open(context, store) as opened:
        report = check_store(opened, _noted(end))
        _print(opened, report)
    if report.faults:
        raise StoreDamagedError(f"store {opened.name}: {'; '.join(report.faults)}")


@store_app.command()
def backup(context: typer.Context, file: Path, store: Url = None) -> None:
    """Copy the store into FILE while others go on writing; the copy is checked, nothing is overwritten.

    A copy is a store: look at it with beamctl store check --store sqlite:///FILE. To go back to it, stop beamctl and
    put it in the place of the store. For PostgreSQL this says how to call pg_dump.
    """
    with _open(context, store) as opened:
        size = back_up(opened, file)
    typer.echo(f"{file}: {size / 1e6:.1f} MB, checked")


@store_app.command()
def export(
    context: typer.Context,
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    form: Annotated[
        ExportFormat, typer.Option("--format", help="json: everything about the run; csv: its raw samples.")
    ] = ExportFormat.JSON,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output without.")] = None,
    store: Url = None,
) -> None:
    """Write a run for others: request, events, intents and raw samples, every number exactly as it was read."""
    with _open(context, store) as opened:
        if out is None:
            export_run(opened, run, form, sys.stdout)
            return
        part = out.with_name(out.name + ".part")
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                export_run(opened, run, form, file)
            part.replace(out)
        except OSError as error:
            raise StoreWriteError(f"{out}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)


def _open(context: typer.Context, url: str | None) -> Store:
    return open_store(url or deployment(context).settings.store, read_only=True)


def _noted(end: str | None) -> ChainEnd | None:
    if end is None:
        return None
    seq, _, digest = end.partition(":")
    if not seq.isdecimal() or len(digest) != 64:
        raise typer.BadParameter("SEQ:HASH as an earlier check printed it", param_hint="--end")
    return ChainEnd(int(seq), digest.lower())


def _print(store: Store, report: StoreReport) -> None:
    lines = {
        "store": store.name,
        "revision": report.revision,
        "database": "DAMAGED" if report.damage else "sound",
        "events": f"{report.chain.count}, every hash computed again" + ", CHAIN BROKEN" * bool(report.chain.fault),
        "end of chain": f"{report.chain.end.seq}:{report.chain.end.hash}",
        "unsettled intents": report.unsettled,
        **{f"{name} (rows)": count for name, count in report.counts.items() if name != "events"},
    }
    for name, value in lines.items():
        typer.echo(f"{name:18} {value}")
