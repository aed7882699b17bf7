"""Shows what the machine reads, several times a second, whether anything runs or not.

One thread and one engine per section, so that an IOC that is away keeps nobody waiting but itself; one more thread
publishes what they have. Nothing here may disturb a run: what fails is told once, and tried again. What nobody has
looked at any more is not published any more, so that its age gives it away.
"""

import logging
import math
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from beamctl.engine.base import Engine
from beamctl.errors import BeamControlError
from beamctl.run.observed import ObservedSection, Payload, SectionView, unknown_payload

_log = logging.getLogger(__name__)

PROBE_S = 1.0
"""how long the heartbeat of a section may take to answer, before the others are looked for"""
PAUSE_S = 2.0
"""before a section that cannot be reached is tried again"""
AT_LEAST_S = 1.0
"""what is so for as long as nothing else is said is published again after so long; a reading never is"""
JOIN_S = 10.0
LONGEST_TEXT = 200


class Observer:
    """Watches sections until it is stopped.

    Args:
        sections: what is watched.
        make_engine: a fresh engine per section.
        publish: takes rows by section; may raise BeamControlError.
        about: what is told of the process itself, beside the sections.
        hertz: how often, at most.
        connect_timeout_s: how long the PVs of a section that answers may take.
    """

    def __init__(
        self,
        sections: Sequence[ObservedSection],
        make_engine: Callable[[], Engine],
        publish: Callable[[Mapping[str, object]], None],
        about: Callable[[], tuple[str, object]],
        hertz: float,
        connect_timeout_s: float,
    ) -> None:
        self._make_engine = make_engine
        self._publish = publish
        self._about = about
        self._period_s = 1.0 / hertz
        self._connect_timeout_s = connect_timeout_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[object, bool]] = {}
        self._troubles: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._watch, args=(section,), name=f"observer-{section.key}", daemon=True)
            for section in sections
        ]
        self._threads.append(threading.Thread(target=self._tell, name="observer", daemon=True))

    def __enter__(self) -> "Observer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _watch(self, section: ObservedSection) -> None:
        """The thread of one section."""
        self._set(section.key, unknown_payload(section, "not connected yet"), lasts=True)
        while not self._stop.is_set():
            why = self._follow(section)
            if why:
                self._set(section.key, unknown_payload(section, why), lasts=True)
                self._trouble(section.key, why)
            self._stop.wait(PAUSE_S)

    def _follow(self, section: ObservedSection) -> str:
        """From the connection to the end; why it has ended, empty where it was to."""
        engine = None
        try:
            engine = self._make_engine()
            engine.start([section.layout.heartbeat], PROBE_S)
            engine.start(section.layout.all_pvs, self._connect_timeout_s)
            view = SectionView(section, engine)
            self._set(section.key, view.payload())
            self._trouble(section.key, "")
            while not self._stop.wait(self._period_s):
                self._set(section.key, view.payload())
        except BeamControlError as error:
            return textwrap.shorten(str(error), LONGEST_TEXT, placeholder=" ...")
        except Exception as error:
            return textwrap.shorten(f"{type(error).__name__}: {error}", LONGEST_TEXT, placeholder=" ...")
        finally:
            with suppress(Exception):
                if engine is not None:
                    engine.close()
        return ""

    def _set(self, key: str, payload: Payload, *, lasts: bool = False) -> None:
        with self._lock:
            self._rows[key] = (payload, lasts)

    def _tell(self) -> None:
        """The thread that publishes."""
        shown: dict[str, object] = {}
        at = -math.inf
        while not self._stop.wait(self._period_s):
            is_time = time.monotonic() >= at + AT_LEAST_S
            try:
                rows = self._current()
                news = {name: row for name, (row, lasts) in rows.items() if row is not shown.get(name) or lasts}
                if not is_time:
                    news = {name: row for name, row in news.items() if row != shown.get(name)}
                if news:
                    self._publish(news)
            except Exception as error:
                self._trouble("what the machine reads", str(error) or type(error).__name__)
            else:
                shown = {name: row for name, (row, _) in rows.items()}
                at = time.monotonic() if is_time else at
                self._trouble("what the machine reads", "")

    def _current(self) -> dict[str, tuple[object, bool]]:
        """Everything, and whether it is so until something else is said."""
        key, about = self._about()
        with self._lock:
            return {**self._rows, key: (about, True)}

    def _trouble(self, what: str, words: str) -> None:
        """Tell a trouble once; empty words: it is over."""
        before = self._troubles.get(what, "")
        self._troubles[what] = words
        if words and words != before:
            _log.warning("%s is not shown: %s", what, words)
        elif before and not words:
            _log.warning("%s is shown again", what)
