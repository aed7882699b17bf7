"""``beamctl --server URL status``."""

import typer
from rich.console import Console

from beamctl.api.schemas.machine import SectionSummary
from beamctl.cli.remote.connection import connected
from beamctl.cli.status import SectionLine, print_status, readings


def status(context: typer.Context, console: Console) -> None:
    """Every section of the service, and its control process."""
    with connected(context) as client:
        overview = client.machine.overview()
    print_status(console, [_line(section) for section in overview.sections], overview.control.message)


def _line(section: SectionSummary) -> SectionLine:
    reading, unfit = readings(section.live)
    return SectionLine(
        key=section.key,
        title=section.title,
        state=section.state,
        reason=section.reason,
        run=section.run,
        by=section.owner,
        is_owned=section.is_owned,
        reading=reading,
        unfit=unfit,
    )
