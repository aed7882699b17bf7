"""Which commands mean something for a run, and what a person can do."""

from beamctl.run.orders import NEEDS, PARKED
from beamctl.store.pages import Listed
from beamctl.store.states import RequestState, RunState, Verb

DECISIONS = (Verb.APPROVE, Verb.TAKEOVER, Verb.RESTORE, Verb.LEAVE, Verb.CLEAR)
"""what nobody may say without having seen what it is about"""
ALWAYS = (Verb.ABORT, Verb.HALT)
_ENDING = (RunState.RESTORING, RunState.RECOVERING)
_DONE = (RunState.ACCEPTED, RunState.RESTORED)
_HINTS = {
    RunState.REVIEW: "Look at what was reached: accept keeps it, abort restores what was found.",
    RunState.CONFLICT: (
        "Somebody else has written to a setpoint of this run. Take over: their value becomes the run's own and it "
        "goes on. Restore: only what is still the run's goes back. Leave: everything stays as it is."
    ),
    RunState.HALTED: (
        "Frozen: nothing is written. Restore brings back what this run has moved; clear leaves everything as it is "
        "and frees the section."
    ),
    RunState.FAULT: (
        "Something could not be brought back or is not understood. Look at the setpoints, then restore, or clear to "
        "leave everything as it is and free the section."
    ),
    RunState.UNKNOWN: (
        "It is not known what the machine holds. Look at the setpoints, then restore, or clear to leave everything "
        "as it is and free the section."
    ),
}
APPROVE = "A step waits: approve writes it, resume lets all that follow be written, abort restores what was found."
ORPHAN = "No process is at work on this run: the next control process brings back what it has moved."


def is_left(one: Listed) -> bool:
    """Whether a section has been left to a person: nobody works on its run any more."""
    claimed = one.request is not None and one.request.state is RequestState.CLAIMED
    return one.run.ended is None and one.run.state in PARKED and not claimed


def allowed(one: Listed, *, is_proposed: bool) -> list[Verb]:
    """Commands that would do something now."""
    run = one.run
    if run.ended is not None or run.state in _DONE:
        return []
    if run.state in PARKED:
        return [Verb.ABORT, Verb.RESTORE, Verb.LEAVE, Verb.CLEAR] if is_left(one) else []
    if run.state in _ENDING:
        return [Verb.HALT]
    return [verb for verb in Verb if _would_do(verb, run.state, is_proposed=is_proposed)]


def why_not(one: Listed, verb: Verb, *, is_proposed: bool) -> str:
    """Why a command is refused; empty where it is not."""
    run = one.run
    if run.ended is not None:
        return f"run {run.id} has ended: {run.outcome or run.state.value}"
    if verb is Verb.APPROVE and not is_proposed:
        return f"no step of run {run.id} waits for approval"
    if verb in DECISIONS and run.state in PARKED and not is_left(one):
        return f"run {run.id} is {run.state.value} since a moment ago, and still reads what the machine does: try again"
    needed = NEEDS.get(verb)
    if verb in (*ALWAYS, Verb.APPROVE) or needed is None or run.state in needed:
        return ""
    words = " or ".join(state.value for state in needed)
    return f"run {run.id} is {run.state.value}; {verb.value} is for a run that is {words}"


def hint(one: Listed, *, is_proposed: bool, has_owner: bool) -> str:
    """What a person can do; empty where nothing is needed."""
    run = one.run
    if run.ended is not None:
        return ""
    if not has_owner and run.state not in PARKED:
        return ORPHAN
    return APPROVE if is_proposed else _HINTS.get(run.state, "")


def _would_do(verb: Verb, state: RunState, *, is_proposed: bool) -> bool:
    if verb is Verb.APPROVE:
        return is_proposed
    if verb is Verb.RESUME:
        return is_proposed or state is RunState.HOLD
    if verb is Verb.PAUSE and state is RunState.REVIEW:
        return is_proposed
    return verb not in NEEDS or state in NEEDS[verb]
