"""What is written beside an exported policy: enough to refuse it wherever it does not belong."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, model_validator

from beamctl.agent.envelope import Envelope
from beamctl.agent.gaussian_process import GpParameters


class ManifestPart(BaseModel):
    """Base of the manifest's models."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ObservationLayout(ManifestPart):
    """What the network of an orbit agent expects, see :mod:`beamctl.task.encoding`.

    Attributes:
        kind: ``normalised`` (one column per corrector slot) or ``raw`` (one per BPM channel).
        columns: of the 3-row trend.
        gain, damping_mm: of the normalisation.
    """

    kind: Literal["normalised", "raw"]
    columns: PositiveInt
    gain: FiniteFloat
    damping_mm: FiniteFloat

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return 3, self.columns


class TransmissionLayout(ManifestPart):
    """What the network of a transmission agent expects, see :mod:`beamctl.task.transmission_encoding`."""

    kind: Literal["transmission"] = "transmission"
    rows: PositiveInt
    columns: PositiveInt

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


class TrainingRecord(ManifestPart):
    """How the agent came about.

    Attributes:
        preset: name.
        configuration: every number of the preset.
        seed: of machines, exploration and weights.
        updates: gradient steps of the checkpoint.
        cpu_s: processor seconds up to it.
        code_revision: commit.
        selection: result on the fixed machines that chose the checkpoint.
    """

    preset: str
    configuration: dict[str, Any]
    seed: int
    updates: int
    cpu_s: FiniteFloat
    code_revision: str
    selection: dict[str, FiniteFloat]


class GoldenVectors(ManifestPart):
    """Observations and the actions that the policy must give for them."""

    observations: list[list[list[FiniteFloat]]]
    actions: list[list[FiniteFloat]]


class Manifest(ManifestPart):
    """The passport of an agent.

    Attributes:
        id: its name.
        task_kind: what it is for.
        machine: name of the machine description it was trained with.
        machine_hash: SHA-256 of the description it may run on; None (not for raw readings): any that fits the layout.
        policy_sha256: of ``policy.onnx``.
        observation: layout.
        actions: number of outputs.
        step_units: published units that an action of 1 means; None: the machine's step limit.
        training: how it came about.
        golden: checked whenever the agent is loaded.
        evaluation: rows of its evaluation report.
        envelope: what it has seen; None: it is asked about everything.
        gp: prior of the Gaussian process that goes with a transmission agent.
    """

    format: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]*$")
    task_kind: Literal["orbit", "transmission"] = "orbit"
    machine: str
    machine_hash: str | None
    policy_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    observation: Annotated[ObservationLayout | TransmissionLayout, Field(discriminator="kind")]
    actions: PositiveInt
    step_units: Annotated[FiniteFloat, Field(gt=0)] | None
    training: TrainingRecord
    golden: GoldenVectors
    evaluation: list[dict[str, Any]] = Field(default_factory=list)
    envelope: Envelope | None = None
    gp: GpParameters | None = None

    @model_validator(mode="after")
    def _layout_is_complete(self) -> Self:
        if (self.task_kind == "transmission") != (self.observation.kind == "transmission"):
            raise ValueError(f"an agent for {self.task_kind} does not see {self.observation.kind} observations")
        if self.observation.kind == "raw" and self.machine_hash is None:
            raise ValueError("an agent that sees raw readings needs the machine_hash that it was trained for")
        if self.observation.kind == "normalised" and self.actions != self.observation.columns:
            raise ValueError(f"{self.observation.columns} normalised columns need as many actions, not {self.actions}")
        rows, columns = self.observation.shape
        if self.envelope is not None and len(self.envelope.mean) != rows * columns:
            raise ValueError(f"an envelope of {len(self.envelope.mean)} features for {rows} x {columns} observations")
        return self
