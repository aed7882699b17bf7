"""Commands for runs: what is refused is written down, too."""

from beamctl.api import runs_view
from beamctl.api.problem import ProblemError
from beamctl.api.refused import refuse
from beamctl.api.schemas.runs import Commanded
from beamctl.api.service import Service
from beamctl.api.standing import Standing
from beamctl.api.verbs import ALWAYS, DECISIONS, why_not
from beamctl.api.versions import check_version
from beamctl.errors import StaleVersionError, StoreConflictError
from beamctl.store.pages import Listed
from beamctl.store.runs import Run
from beamctl.store.states import Verb


def command(service: Service, run: int, verb: Verb, principal: str, if_match: str | None) -> Commanded:
    """Tell a run something.

    Args:
        service: of the route.
        run: its number.
        verb: what.
        principal: who.
        if_match: the version that they have seen; decisions need one, abort and halt never look at it.

    Raises:
        ProblemError: it is not meaningful, or not what they have seen; says why.
    """
    one, stands = runs_view.find_standing(service, run)
    try:
        seen = None if verb in ALWAYS else _checked(one, stands, verb, if_match)
        sent = _send(service, one.run, verb, principal, seen)
    except ProblemError as problem:
        refuse(service, principal, f"{verb.value} run {run}", problem, run)
    alive = service.control.is_alive
    return Commanded(command=sent, run=run, verb=verb, control_is_alive=alive, message=_message(is_alive=alive))


def _checked(one: Listed, stands: Standing, verb: Verb, if_match: str | None) -> int | None:
    """The event that a decision is made on; None where it needs none.

    Raises:
        ProblemError: no or another version, or nothing that it could be about.
    """
    run = one.run
    is_about = verb in DECISIONS or (verb is Verb.ACCEPT and if_match is not None)
    if is_about and run.ended is None:
        check_version(if_match, stands.version, f"run {run.id}")
    problem = why_not(one, verb, is_proposed=stands.proposal is not None)
    if problem:
        raise ProblemError("conflict", problem)
    return stands.seq if is_about else None


def _send(service: Service, run: Run, verb: Verb, principal: str, seen: int | None) -> int:
    try:
        return service.store.commands.send(run.id, verb, principal, seen)
    except StaleVersionError as error:
        raise ProblemError("changed-meanwhile", f"{error}: look again") from error
    except StoreConflictError as error:
        raise ProblemError("conflict", str(error)) from error


def _message(*, is_alive: bool) -> str:
    if is_alive:
        return "written down; the control process takes it in a moment"
    return "written down; no control process is running (beamctl operate), it is taken as soon as one is"
