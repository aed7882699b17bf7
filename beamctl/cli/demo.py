"""``beamctl demo``: a soft machine with errors that nobody knows, tuned through the service."""

import json
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from beamctl.cli.app import EXIT_NOT_REACHED, app, deployment
from beamctl.cli.children import ended_at_last, endings, keep_alive
from beamctl.cli.objects import as_object, head
from beamctl.cli.together import Together
from beamctl.errors import BeamControlError
from beamctl.settings import Settings

if TYPE_CHECKING:
    from beamctl.cli.remote.watching import Watched


@app.command()
def demo(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option(min=0, help="Machine of the demonstration. [fresh]")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Error scenario of the soft machines; see beamctl ioc --help.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for summary.json and the pictures.")] = Path("var/demo"),
) -> None:
    """Start everything on a soft machine, tune every section through the service, show before and after, end it all.

    The first section is tuned by curl where that is installed. Ctrl-C ends everything.
    """
    from beamctl.cli.remote.demonstration import log_in, tune_all
    from beamctl.client.client import Client

    d = deployment(context)
    console = Console(highlight=False)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    console.print(f"soft machines {', '.join(m.title for m in d.machines)}: seed {chosen}")
    with _everything(_fresh(d.settings, out), scenario, chosen, out / "processes.log") as url, Client(url) as client:
        console.print(f"service at {url}")
        log_in(client)
        done = tune_all(client, d.demonstrated, console)
    objects = [
        as_object(head(one.run.task, one.run.algorithm, one.agent), one.result, run=one.run.id) for one in done.values()
    ]
    (out / "summary.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    pictures = _draw(list(done.values()), out, f"seed {chosen}")
    console.print(_table(done))
    console.print(f"written: {', '.join(map(str, (out / 'summary.json', *pictures)))}")
    if any(o["outcome"] != "reached" for o in objects):
        raise typer.Exit(EXIT_NOT_REACHED)


def _fresh(settings: Settings, out: Path) -> Settings:
    """A store of its own, without what an earlier demonstration has left, and any free port.

    Raises:
        BeamControlError: another demonstration is at work there.
    """
    from beamctl.store.open import open_store

    out.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{out / 'store.db'}"
    with open_store(url) as store:
        if store.leases.is_held("control"):
            raise BeamControlError(f"another demonstration is at work in {out}: give this one another --out")
    for file in filter(Path.is_file, out.glob("store.db*")):
        file.unlink()
    return settings.model_copy(update={"store": url, "http_port": 0})


@contextmanager
def _everything(settings: Settings, scenario: str | None, seed: int, log: Path) -> Iterator[str]:
    """All processes, and the address of the service; what they say goes into a file."""
    for number in endings():  # whatever ends us, nothing stays behind
        signal.signal(number, signal.default_int_handler)
    stop = threading.Event()
    with log.open("w", encoding="utf-8", buffering=1) as out:
        together = Together(settings, lambda line: print(line, file=out))
        with ended_at_last(together.children):
            together.start(scenario, seed, demo_user=True)
            keeper = threading.Thread(target=_keep, args=(together, stop), daemon=True)
            keeper.start()
            try:
                yield together.url
            finally:
                stop.set()
                keeper.join()


def _keep(together: Together, stop: threading.Event) -> None:
    try:
        keep_alive(together.children, stop)
    except BeamControlError as error:  # the demonstration finds out by itself that nobody answers
        together.tell(str(error))


def _draw(done: "list[Watched]", out: Path, subtitle: str) -> list[Path]:
    """A picture of all orbits together, and one of each other task."""
    from beamctl.cli.pictures import OrbitChange, plot_orbits, plot_steps

    pictures: list[Path] = []
    orbits = [OrbitChange(one.scene.short_section, one.scene.bpms, one.result) for one in done if one.scene.is_orbit]
    if orbits:
        pictures.append(out / "orbit.png")
        plot_orbits(orbits, pictures[-1], subtitle)
    for one in done:
        if not one.scene.is_orbit:
            pictures.append(out / f"{one.run.task}.png")
            plot_steps(one.steps, pictures[-1], f"{one.scene.title}: {one.run.agent} ({subtitle})")
    return pictures


def _table(done: "dict[str, Watched]") -> Table:
    table = Table(title="before and after", title_justify="left")
    for column in ("task", "outcome", "as found", "tuned", "steps", "writes"):
        table.add_column(
            column, justify="right" if column in ("steps", "writes") else "left", no_wrap=column in ("task", "outcome")
        )
    for task, one in done.items():
        r, rows = one.result, one.scene.rows
        table.add_row(task, r.outcome.value, rows.words(r.initial), rows.words(r.final), str(r.steps), str(r.writes))
    return table
