"""What the service makes of anything that its contract allows or forbids; prints the number of faults."""

import sys
import tempfile
import time

from beamctl.store.states import Role
from tests.system.access.fuzz import fuzz
from tests.system.routes.conftest import Control, Site, open_site

EXAMPLES = 30
"""per operation and phase"""


def main() -> None:
    """As each role in turn, with a control process at work and runs to look at."""
    with tempfile.TemporaryDirectory() as folder, open_site(folder) as site:
        control = Control(site.store, site.deployment)
        try:
            _prepare(site)
            total = sum(_judge(site, role) for role in Role)
        finally:
            control.stop()
    print(f"{'all roles':10} {total:6} cases")


def _prepare(site: Site) -> None:
    """A run that was accepted, and readings of every section."""
    site.wait_for(lambda: site.service.control.is_alive)
    run = site.ask(algorithm="bls", review=True)
    site.until(run, "review")
    site.operator.post(f"/runs/{run}/accept").raise_for_status()
    site.until(run)
    for section in site.service.machines.sections:
        site.publish(section)


def _judge(site: Site, role: Role) -> int:
    began = time.monotonic()
    found = fuzz(site.store, site.url, role, "-n", str(EXAMPLES), "--seed", "0")
    lost = sum(user.name.startswith("fuzz-") and not user.enabled for user in site.store.users.list())
    print(
        f"{role.value:10} {found.cases:6} cases  {'nothing found' if found.is_clean else 'FAULTS'}  "
        f"{time.monotonic() - began:.0f} s{'' if found.is_still_in and not lost else '  (locked out on the way)'}",
        flush=True,
    )
    if not found.is_clean:
        print(found.output, file=sys.stderr)
    return found.cases
