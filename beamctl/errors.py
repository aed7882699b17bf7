"""Every error that beamctl raises on purpose, in one tree.

    BeamControlError
    ├── MachineDescriptionError      a machine, ion or task file is wrong; carries every fault with its place
    ├── SettingsError                a BEAMCTL_ variable of the environment holds what it cannot hold
    ├── UnknownNameError             a task, agent, scenario ... that does not exist; lists those that do
    ├── EngineError
    │   ├── ChannelConnectionError   a PV cannot be reached, or was lost
    │   ├── StaleReadingError        a reading is too old, INVALID, frozen or not finite
    │   ├── SetpointLimitError       a setpoint that must not be written (limits, step, not finite, limits unset)
    │   ├── WriteFailedError         a put was refused or altered by the IOC, or its outcome is unknown
    │   ├── ReadbackMismatchError    the power supply does not follow its setpoint
    │   ├── PermitLostError          beam permit low, or wrong machine
    │   │   └── BeamLostError        no beam in front of the section
    │   │       └── RepeatedTripError  gone again right after a write of ours: a person has to look
    │   ├── NotSimulatedError        something that only a simulated machine may be asked to do
    │   ├── ForeignWriteError        a setpoint holds what this run has neither found nor written
    │   ├── JournalError             a put could not be written down first, so it was not sent
    │   └── HaltedError              a person has frozen the run: nothing may be written, not even a restore
    ├── AgentError
    │   ├── MissingExtraError        an algorithm that needs an optional package
    │   └── IncompatibleAgentError   hash, layout or machine of an exported agent does not fit
    ├── NoValidReadingError          no BPM is usable
    ├── RunError
    │   ├── SenselessRequestError    what was asked for could never be done
    │   └── RunAbortedError          a person or a signal ended the run
    ├── ServiceError                 the service has refused something, or cannot be asked; carries code, status, faults
    │   ├── ServiceUnreachableError  no answer, for longer than patience lasts; what was asked may have been done
    │   ├── NotLoggedInError         no login, no key, or one that has ended
    │   ├── NotAllowedError          a role that is too low
    │   └── ConflictError            not in its present state, or somebody has changed it meanwhile
    ├── ServingError                 PVs of our own cannot be served
    │   └── PortInUseError           no port to serve them at
    └── StoreError                   what was to be written down is not, or what was written cannot be read
        ├── StoreUnavailableError    cannot be opened or reached, or is of a newer beamctl
        ├── StoreWriteError          disk full or failing, or read-only: nothing of this was written
        ├── StoreBusyError           somebody else is writing for too long
        ├── StoreDamagedError        not a store, or not the store that was written
        ├── StoreConflictError       a row is not in the state for this; reused idempotency key, ended run ...
        │   └── StaleVersionError    somebody has changed it since it was looked at
        ├── LeaseHeldError           somebody else has the section, or is the control process
        └── LeaseLostError           somebody else has it now: write nothing more

Messages carry the numbers (old value, new value, limits, unit) and say what to do.
"""

from collections.abc import Iterable


class BeamControlError(Exception):
    """Root of the tree; the command line prints it without a traceback."""


class MachineDescriptionError(BeamControlError):
    """A description file has faults.

    Attributes:
        faults: every fault found, each one line ``file:line: field: what is wrong``.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        n = len(self.faults)
        super().__init__(f"{n} fault{'s' if n != 1 else ''}:\n  " + "\n  ".join(self.faults))


class SettingsError(BeamControlError):
    """Settings that cannot be used; tells which, and not what they hold."""


class UnknownNameError(BeamControlError):
    """A name that nothing is known by.

    Args:
        kind: what was looked for, for example ``"task"``.
        name: what was given.
        known: the names that would have been accepted.

    Attributes:
        name: what was given.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known)) or '(none)'}")


class EngineError(BeamControlError):
    """Something between us and the machine failed."""


class ChannelConnectionError(EngineError):
    """PVs that cannot be reached."""


class StaleReadingError(EngineError):
    """A reading that must not drive a write."""


class SetpointLimitError(EngineError):
    """A setpoint that must not be written."""


class WriteFailedError(EngineError):
    """A put that did not do what it should."""


class ReadbackMismatchError(EngineError):
    """A readback that differs from its setpoint after settling."""


class PermitLostError(EngineError):
    """The machine does not allow (or does not have) beam, or is not the machine we believe."""


class BeamLostError(PermitLostError):
    """There is no beam to tune with."""


class RepeatedTripError(BeamLostError):
    """The beam went away for the second time right after a write of ours."""


class NotSimulatedError(EngineError):
    """Refused because the machine does not say that it is simulated."""


class ForeignWriteError(EngineError):
    """Somebody else moved a knob of the run."""


class JournalError(EngineError):
    """An intent could not be made durable."""


class HaltedError(EngineError):
    """No put may be sent any more."""


class AgentError(BeamControlError):
    """Something about an agent."""


class IncompatibleAgentError(AgentError):
    """An agent that must not run here."""


class MissingExtraError(AgentError):
    """An algorithm that needs a package which is not installed.

    Args:
        what: the algorithm.
        package: what it needs.
        extra: of beamctl that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs {package}, which is not installed: pip install 'beamctl[{extra}]'")


class NoValidReadingError(BeamControlError):
    """Every BPM is masked."""


class RunError(BeamControlError):
    """Something about one attempt."""


class SenselessRequestError(RunError):
    """What was asked for could never be done, whatever state the machine is in."""


class RunAbortedError(RunError):
    """A person or a signal ended the run; the snapshot is being restored."""


class ServiceError(BeamControlError):
    """Something between a client and the service failed.

    Args:
        detail: what happened, with numbers, and what can be done.
        code: stable word for programs; those of the service are in :data:`beamctl.api.problem.CODES`.
        status: of HTTP, 0 where there was no answer.
        faults: of the fields, each one line ``field: what is wrong``.
    """

    def __init__(self, detail: str, *, code: str, status: int = 0, faults: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.faults = tuple(faults)


class ServiceUnreachableError(ServiceError):
    """A service that gives no answer."""


class NotLoggedInError(ServiceError):
    """A request without a login that holds."""


class NotAllowedError(ServiceError):
    """A request that needs a higher role."""


class ConflictError(ServiceError):
    """Something that is not in a state, or not in the version, which allows this."""


class ServingError(BeamControlError):
    """A Channel Access server that does not serve."""


class PortInUseError(ServingError):
    """A port that somebody else has, or an interface that is not this host's."""


class StoreError(BeamControlError):
    """Something between us and the record of what was done failed."""


class StoreUnavailableError(StoreError):
    """A store that cannot be opened or reached."""


class StoreWriteError(StoreError):
    """A store that takes no more rows; nothing of the failed piece was written."""


class StoreBusyError(StoreError):
    """A store whose writer does not come to an end."""


class StoreDamagedError(StoreError):
    """A store that does not hold what was written."""


class StoreConflictError(StoreError):
    """A row that is not in a state which allows this."""


class StaleVersionError(StoreConflictError):
    """A row that somebody has changed since it was looked at.

    Args:
        what: the row, for people, for example ``"user anna"``.
        seen: version that was looked at.
        found: version that it has now; 0: it was never written.
    """

    def __init__(self, what: str, seen: int, found: int) -> None:
        super().__init__(f"{what} was changed meanwhile: version {found} now, {seen} when seen; look again")


class LeaseHeldError(StoreError):
    """A lease that somebody else has."""


class LeaseLostError(StoreError):
    """A lease that somebody else has got meanwhile."""
