"""Trained agents, as the service tells of them."""

from typing import Any

from beamctl.agent.manifest import Manifest
from beamctl.agent.registry import AgentFolder, load_by_kind
from beamctl.api.schemas.agents import Agent, AgentSummary
from beamctl.errors import IncompatibleAgentError, UnknownNameError
from beamctl.store.open import Store
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.serve.tasks import manifests, suits

_LEFT_OUT: dict[str, Any] = {"golden": True, "envelope": {"mean", "whitening"}, "gp": True, "evaluation": True}


class AgentBook:
    """Passports; a policy is verified once for each content that it has had.

    Args:
        deployment: whose agents.
        store: knows which are switched off.
    """

    def __init__(self, deployment: Deployment, store: Store) -> None:
        self._deployment = deployment
        self._store = store
        self._verified: dict[str, tuple[bool, str]] = {}

    def list(self) -> list[AgentSummary]:
        """Every agent."""
        return [AgentSummary(**self._summary(*one)) for one in manifests(self._deployment).values()]

    def get(self, name: str) -> Agent:
        """One passport.

        Raises:
            UnknownNameError: lists those that there are.
        """
        known = manifests(self._deployment)
        if name not in known:
            raise UnknownNameError("agent", name, known)
        folder, manifest = known[name]
        is_verified, words = self._verification(folder, manifest)
        switch = self._store.switches.get(folder.id)
        return Agent(
            **self._summary(folder, manifest),
            manifest=manifest.model_dump(mode="json", exclude=_LEFT_OUT),
            evaluation=manifest.evaluation,
            has_envelope=manifest.envelope is not None,
            is_verified=is_verified,
            verification=words,
            switched_by=None if switch is None else switch.principal,
            switched_at=None if switch is None else switch.time,
            switch_reason="" if switch is None else switch.reason,
        )

    def _summary(self, folder: AgentFolder, manifest: Manifest) -> dict[str, Any]:
        d = self._deployment
        tasks = [task for task in d.tasks if suits(manifest, d.kit(task))]
        return {
            "id": folder.id,
            "task_kind": manifest.task_kind,
            "machine": manifest.machine,
            "machine_hash": manifest.machine_hash,
            "policy_sha256": manifest.policy_sha256,
            "tasks": tasks,
            "default_for": [task for task in tasks if d.kit(task).default_agent == folder.id],
            "enabled": self._store.switches.enabled(folder.id),
            "preset": manifest.training.preset,
            "seed": manifest.training.seed,
            "selection": dict(manifest.training.selection),
        }

    def _verification(self, folder: AgentFolder, manifest: Manifest) -> tuple[bool, str]:
        """Whether hash, network and golden vectors are in order, in words; looked at again when the file changes."""
        policy = folder.path / "policy.onnx"
        stamp = policy.stat().st_mtime_ns if policy.is_file() else 0
        key = f"{folder.path}@{stamp}@{manifest.policy_sha256}"
        if key not in self._verified:
            try:
                load_by_kind(folder)
            except IncompatibleAgentError as error:
                self._verified[key] = False, str(error)
            else:
                n = len(manifest.golden.actions)
                self._verified[key] = True, f"SHA-256, network and {n} golden vectors are in order"
        return self._verified[key]
