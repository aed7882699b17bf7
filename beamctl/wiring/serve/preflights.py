"""What preflights have found, as the service tells of it."""

import math
from typing import Any

import numpy as np

from beamctl.api.schemas.preflight import Finding, PreflightResult
from beamctl.errors import BeamControlError, UnknownNameError
from beamctl.run.preflight import Findings
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.preflight import complete_preflights, found_faults, stored_findings


class PreflightBook:
    """The newest complete preflight of each section, concluded once.

    Args:
        deployment: whose sections.
        store: where the runs are.
    """

    def __init__(self, deployment: Deployment, store: Store) -> None:
        self._store = store
        kits = [deployment.orbit(task) for task in deployment.orbit_tasks]
        self._kits = {kit.key: kit for kit in kits}
        self._concluded: dict[int, PreflightResult] = {}

    @property
    def sections(self) -> dict[str, str]:
        """Sections that can be checked, and their task."""
        return {key: kit.name for key, kit in self._kits.items()}

    def kit(self, section: str) -> OrbitKit:
        """Of a section.

        Raises:
            UnknownNameError: lists the sections that can be checked.
        """
        if section not in self._kits:
            raise UnknownNameError("section with a preflight", section, self._kits)
        return self._kits[section]

    def newest(self, section: str) -> PreflightResult | None:
        """What it has found; None where there is none; errors as :meth:`kit`."""
        kit = self.kit(section)
        run = next(complete_preflights(self._store, kit), None)
        if run is None:
            return None
        if run.id not in self._concluded:
            self._concluded[run.id] = self._conclude(kit, run)
        return self._concluded[run.id]

    def _conclude(self, kit: OrbitKit, run: Run) -> PreflightResult:
        is_current = run.configuration_hash == kit.section_hash
        common = {
            "section": kit.key,
            "task": kit.name,
            "run": run.id,
            "time": run.ended or run.started,
            "is_current": is_current,
        }
        try:
            return PreflightResult(**common, **_found(stored_findings(self._store, kit, run.id)))
        except (BeamControlError, ValueError, IndexError) as error:
            if is_current:
                raise
            words = f"made with another description of the section, which it cannot be compared with any more ({error})"
            return PreflightResult(
                **common, faults=0, summary=words, noise_mm=0.0, table=[], correctors=[], channels=[],
                expected_mm_per_a=[], measured_mm_per_a=[],
            )  # fmt: skip


def _found(findings: Findings) -> dict[str, Any]:
    return {
        "faults": len(findings.faults),
        "summary": found_faults(findings) or "wired as described",
        "noise_mm": findings.noise_mm,
        "table": [
            Finding(
                device=line.device, name=line.name, verdict=line.verdict.value, confidence=line.confidence,
                expected_mm_per_a=line.expected_mm_per_a, measured_mm_per_a=_known(line.measured_mm_per_a),
                gain=_known(line.gain), note=line.note,
            )
            for line in findings.table
        ],
        "correctors": list(findings.correctors),
        "channels": list(findings.channels),
        "expected_mm_per_a": _rows(findings.expected_mm_per_a),
        "measured_mm_per_a": _rows(findings.measured_mm_per_a),
    }  # fmt: skip


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _rows(matrix: Any) -> list[list[float | None]]:
    return [[_known(value) for value in row] for row in np.asarray(matrix)]
