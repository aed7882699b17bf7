"""Runs as the control process builds them, in this process, over simulated machines whose time is virtual."""

import itertools
import json
from collections import Counter
from datetime import UTC, datetime

import numpy as np

from beamctl.engine.layout import SectionLayout
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.factory import make_plant
from beamctl.run.observed import SectionView
from beamctl.run.orders import Orders
from beamctl.store.canonical import browser_json
from beamctl.store.live import LiveRow
from beamctl.store.open import Store
from beamctl.wiring.control import ControlWorkshop, new_request
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.observer import observed_sections

TASK, INJECTOR = "cm1-orbit", "rfq-transmission"
KEYS = itertools.count()
LOOK_S = 2.0


class SimulatedSite:
    """A store, and simulated machines that runs move.

    Args:
        store: open.
        deployment: of machines without fences.
        scenarios: as of the soft IOC.

    Attributes:
        puts: every put that reached a machine: where, what, and what was held before; A.
        on_event: told of everything that a run reports, with its orders.
    """

    def __init__(self, store: Store, deployment: Deployment, scenarios: tuple[str, ...] = ("err5",)) -> None:
        self.store = store
        self.deployment = deployment
        self.plant = make_plant(deployment.machines, None, scenarios, 3)
        self.puts: list[tuple[str, float, float]] = []
        self._sound_put = self.plant.put
        self.plant.put = self._logged_put
        self.on_event = lambda event, orders: None

    def _logged_put(self, pv, value):
        self.puts.append((pv, value, float(self.plant.setpoint(pv))))
        return self._sound_put(pv, value)

    def move(self, task, change_a) -> None:
        """Somebody moves every knob."""
        for knob, change in zip(self.layout(task).knobs, np.broadcast_to(change_a, len(self.at(task))), strict=True):
            self._sound_put(knob.setpoint, float(self.plant.setpoint(knob.setpoint)) + float(change))
        self.plant.advance(30.0)

    def layout(self, task) -> SectionLayout:
        return self.deployment.kit(task).layout()

    def at(self, task=TASK) -> np.ndarray:
        """Where the knobs are, A."""
        return np.array([float(self.plant.setpoint(k.setpoint)) for k in self.layout(task).knobs])

    def ask(self, task=TASK, *, approval=False, review=False, **choice):
        key = f"key-{next(KEYS)}"
        asked = new_request(
            self.deployment, task, Choice(**choice), "tester", key, approval=approval, review=review
        )  # fmt: skip
        self.store.requests.submit(asked)
        return self.store.requests.claim()

    def run(self, task=TASK, *, orders=None, **asked):
        """A whole run; errors as of the control process at work."""
        request = self.ask(task, **asked)
        orders = orders or Orders()
        shop = ControlWorkshop(
            self.deployment, self.store, lambda: SimulatedEngine(self.plant),
            lambda _run, _budget: lambda event: self.on_event(event, orders),
        )  # fmt: skip
        new = shop.describe(request)
        lease = self.store.leases.section(new.section)
        try:
            run = self.store.runs.create(lease, new)
            state, outcome, reason = shop.attempt(request, lease, run, orders).execute()
            return self.store.runs.finish(lease, run.id, state, outcome, reason)
        finally:
            lease.release()

    def intended(self, run) -> Counter:
        return Counter((i.pv, round(i.new, 9)) for i in self.store.journal.of_run(run.id))

    def look(self, task=TASK) -> LiveRow:
        """What the observer of the control process shows of a section, as it comes back from the store."""
        key = self.deployment.kit(task).key
        section = next(s for s in observed_sections(self.deployment) if s.key == key)
        engine = SimulatedEngine(self.plant)
        engine.start(section.layout.all_pvs)
        view = SectionView(section, engine)
        for _ in range(round(10 * LOOK_S)):
            engine.clock.sleep(0.1)
            payload = view.payload()
        engine.close()
        return LiveRow(key, json.loads(browser_json(payload)), datetime.now(UTC), 1)
