"""The words that the control process and the service share."""

from enum import StrEnum


class RequestState(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    """the control process works on it"""
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    """look at everything but accounts"""
    OPERATOR = "operator"
    """ask for runs, command every run whoever asked for it"""
    ADMIN = "admin"
    """accounts, keys, switches of agents"""

    def covers(self, needed: "Role") -> bool:
        """Whether it is enough for what needs ``needed``."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class RunKind(StrEnum):
    """What a run is for; see :mod:`beamctl.store.kinds`."""

    TUNE = "tune"
    PREFLIGHT = "preflight"
    """kicks, compares, restores"""
    SNAPSHOT = "snapshot"
    """goes to what an earlier run has found"""
    ADVICE = "advice"
    """proposes, writes nothing"""


class Verb(StrEnum):
    """What a person can tell a run."""

    PAUSE = "pause"
    RESUME = "resume"
    ACCEPT = "accept"
    """end, keep the best"""
    ABORT = "abort"
    """end, restore the snapshot"""
    HALT = "halt"
    """freeze, write nothing at all"""
    APPROVE = "approve"
    """let the proposed step be written"""
    TAKEOVER = "takeover"
    """in conflict: what somebody else has set is ours from now on"""
    RESTORE = "restore"
    """in conflict: restore only what is still ours"""
    LEAVE = "leave"
    """in conflict: leave everything as it is"""
    CLEAR = "clear"
    """a fault has been understood by a person"""


class RunState(StrEnum):
    """Where a run is."""

    IDLE = "idle"
    ARMED = "armed"
    RUNNING = "running"
    HOLD = "hold"
    """nothing is written until the readings are good again, or a person says so"""
    REVIEW = "review"
    ACCEPTED = "accepted"
    RESTORING = "restoring"
    RESTORED = "restored"
    UNKNOWN = "unknown"
    """the outcome of a put is not known"""
    CONFLICT = "conflict"
    """somebody else has written"""
    HALTED = "halted"
    """no writes at all, not even a restore"""
    FAULT = "fault"
    """latched until a person clears it"""
    RECOVERING = "recovering"
    """after a restart of the control process"""
