"""Numbers with a unit and an origin, as they stand in machine descriptions.

A number is either known (``source:`` says from where) or an assumption (``assumed:`` says why, ``range:``
says how far off it may be). Nothing in between can be written down.
"""

from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from pydantic_core import PydanticCustomError

UNITS: dict[str, tuple[str, float]] = {
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "um": ("length", 1e-6),
    "rad": ("angle", 1.0),
    "mrad": ("angle", 1e-3),
    "deg": ("angle", 0.017453292519943295),
    "A": ("current", 1.0),
    "mA": ("current", 1e-3),
    "uA": ("current", 1e-6),
    "A/s": ("slew", 1.0),
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "Hz": ("frequency", 1.0),
    "MHz": ("frequency", 1e6),
    "T": ("field", 1.0),
    "mT": ("field", 1e-3),
    "T m/A": ("corrector calibration", 1.0),
    "mT m/A": ("corrector calibration", 1e-3),
    "mT/A": ("solenoid calibration", 1e-3),
    "MeV": ("energy", 1e6),
    "MeV/u": ("energy per nucleon", 1e6),
    "keV/u": ("energy per nucleon", 1e3),
    "MV": ("voltage", 1e6),
    "kV": ("voltage", 1e3),
    "mm mrad": ("emittance", 1e-6),
    "1": ("number", 1.0),
    "%": ("number", 1e-2),
    "mm/h": ("drift", 1.0),
}
"""known units: dimension and factor to the dimension's base unit"""


class Strict(BaseModel):
    """Base of all description models: no unknown fields, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(Strict):
    """Where a number comes from.

    Attributes:
        source: who states it.
        assumed: why it is assumed; excludes ``source`` and asks for a range.
    """

    source: str | None = Field(default=None, min_length=1)
    assumed: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.assumed is None):
            raise PydanticCustomError("origin", "give either source: (who states it) or assumed: (why)")
        return self


class Quantity(Origin):
    """One number with its unit.

    Attributes:
        value: in ``unit``.
        unit: one of :data:`UNITS`.
        range: what the number may really be, (lo, hi) in ``unit``; required for assumptions.
    """

    value: FiniteFloat
    unit: str
    range: tuple[FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="after")
    def _range_holds_value(self) -> Self:
        if self.assumed is not None and self.range is None:
            raise PydanticCustomError("range", "an assumed number needs its range: [lo, hi]")
        if self.range is not None and not self.range[0] <= self.value <= self.range[1]:
            message = f"value {self.value:g} lies outside its range [{self.range[0]:g}, {self.range[1]:g}]"
            raise PydanticCustomError("range", "{message}", {"message": message})
        return self

    def si(self) -> float:
        """The value in the base unit of its dimension (m, rad, A, s, Hz, T, T/A, T m/A, eV, V, m rad)."""
        return self.value * UNITS[self.unit][1]


class Limits(Origin):
    """An allowed interval.

    Attributes:
        lo: smallest allowed value, in ``unit``.
        hi: largest allowed value, in ``unit``.
        unit: one of :data:`UNITS`.
    """

    lo: FiniteFloat
    hi: FiniteFloat
    unit: str

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.lo < self.hi:
            message = f"lo {self.lo:g} is not below hi {self.hi:g}: swapped?"
            raise PydanticCustomError("limits", "{message}", {"message": message})
        return self

    def contains(self, value: float) -> bool:
        """Whether ``value`` (in ``unit``) is finite and inside; NaN is not."""
        return self.lo <= value <= self.hi


def _in_unit(canonical: str) -> Callable[[Any], Any]:
    dimension, factor = UNITS[canonical]

    def convert(item: Quantity | Limits) -> Quantity | Limits:
        known = sorted(u for u, (d, _) in UNITS.items() if d == dimension)
        if item.unit not in known:
            what = "unknown unit" if item.unit not in UNITS else f"unit of {UNITS[item.unit][0]}"
            message = f"{what} {item.unit!r}; a {dimension} needs one of: {', '.join(known)}"
            raise PydanticCustomError("unit", "{message}", {"message": message})
        if item.unit == canonical:
            return item
        scale = UNITS[item.unit][1] / factor
        if isinstance(item, Limits):
            return item.model_copy(update={"lo": item.lo * scale, "hi": item.hi * scale, "unit": canonical})
        span = None if item.range is None else (item.range[0] * scale, item.range[1] * scale)
        return item.model_copy(update={"value": item.value * scale, "unit": canonical, "range": span})

    return convert


def _positive(item: Quantity) -> Quantity:
    if not item.value > 0:
        message = f"must be above 0, is {item.value:g} {item.unit}"
        raise PydanticCustomError("positive", "{message}", {"message": message})
    return item


Millimetres = Annotated[Quantity, AfterValidator(_in_unit("mm"))]
LengthM = Annotated[Quantity, AfterValidator(_in_unit("m")), AfterValidator(_positive)]
LengthMm = Annotated[Quantity, AfterValidator(_in_unit("mm")), AfterValidator(_positive)]
Milliradians = Annotated[Quantity, AfterValidator(_in_unit("mrad"))]
Degrees = Annotated[Quantity, AfterValidator(_in_unit("deg"))]
Amperes = Annotated[Quantity, AfterValidator(_in_unit("A")), AfterValidator(_positive)]
Milliamperes = Annotated[Quantity, AfterValidator(_in_unit("mA")), AfterValidator(_positive)]
SlewRate = Annotated[Quantity, AfterValidator(_in_unit("A/s")), AfterValidator(_positive)]
Seconds = Annotated[Quantity, AfterValidator(_in_unit("s")), AfterValidator(_positive)]
Hertz = Annotated[Quantity, AfterValidator(_in_unit("Hz")), AfterValidator(_positive)]
Megahertz = Annotated[Quantity, AfterValidator(_in_unit("MHz")), AfterValidator(_positive)]
Tesla = Annotated[Quantity, AfterValidator(_in_unit("T")), AfterValidator(_positive)]
CorrectorCalibration = Annotated[Quantity, AfterValidator(_in_unit("mT m/A")), AfterValidator(_positive)]
MegaElectronvolts = Annotated[Quantity, AfterValidator(_in_unit("MeV")), AfterValidator(_positive)]
EnergyPerNucleon = Annotated[Quantity, AfterValidator(_in_unit("MeV/u")), AfterValidator(_positive)]
Megavolts = Annotated[Quantity, AfterValidator(_in_unit("MV")), AfterValidator(_positive)]
Kilovolts = Annotated[Quantity, AfterValidator(_in_unit("kV")), AfterValidator(_positive)]
SolenoidCalibration = Annotated[Quantity, AfterValidator(_in_unit("mT/A")), AfterValidator(_positive)]
Emittance = Annotated[Quantity, AfterValidator(_in_unit("mm mrad")), AfterValidator(_positive)]
Number = Annotated[Quantity, AfterValidator(_in_unit("1"))]
DriftRate = Annotated[Quantity, AfterValidator(_in_unit("mm/h"))]
LimitsA = Annotated[Limits, AfterValidator(_in_unit("A"))]
LimitsMa = Annotated[Limits, AfterValidator(_in_unit("mA"))]
LimitsMm = Annotated[Limits, AfterValidator(_in_unit("mm"))]
LimitsMv = Annotated[Limits, AfterValidator(_in_unit("MV"))]
LimitsDeg = Annotated[Limits, AfterValidator(_in_unit("deg"))]
