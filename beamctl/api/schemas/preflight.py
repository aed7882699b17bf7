"""What a preflight has found."""

from datetime import datetime

from beamctl.api.schemas.base import Identifier, Told


class Finding(Told):
    """One line of the table.

    Attributes:
        device: ``corrector`` or ``bpm``.
        verdict: ``good`` or the fault.
        confidence: probability of the verdict.
        gain: strength relative to the description, with sign; null where nothing could be read.
    """

    device: str
    name: str
    verdict: str
    confidence: float
    expected_mm_per_a: float
    measured_mm_per_a: float | None
    gain: float | None
    note: str


class PreflightResult(Told):
    """The newest complete preflight of a section.

    Attributes:
        is_current: the description is still the one it was made with, so runs rely on it.
        faults: lines that are not good.
        expected_mm_per_a, measured_mm_per_a: response, rows as ``channels``, columns as ``correctors``.
    """

    section: str
    task: str
    run: Identifier
    time: datetime
    is_current: bool
    faults: int
    summary: str
    noise_mm: float
    table: list[Finding]
    correctors: list[str]
    channels: list[str]
    expected_mm_per_a: list[list[float | None]]
    measured_mm_per_a: list[list[float | None]]


class PreflightSummary(Told):
    """One section: its newest complete preflight, null where there is none."""

    section: str
    task: str
    run: int | None
    time: datetime | None
    is_current: bool
    summary: str


class Preflights(Told):
    """Every section that can be checked."""

    sections: list[PreflightSummary]
