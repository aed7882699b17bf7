"""Shows what the machine reads, several times a second, whether anything runs or not.

One thread and one engine per section, so that an IOC that is away keeps nobody waiting but itself; one more thread
publishes what they have. Nothing here may disturb a run: what fails is told once, and tried again.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from beamctl.engine.base import Engine
from beamctl.errors import BeamControlError, ChannelConnectionError
from beamctl.run.observed import ObservedSection, Payload, SectionView, unknown_payload

_log = logging.getLogger(__name__)

CONNECT_S = 2.0
"""how long a section may take to answer, and the pause before it is tried again"""
AT_LEAST_S = 1.0
"""what has not changed is published again after so long, so that its age says that somebody looks"""
JOIN_S = 5.0


class Observer:
    """Watches sections until it is stopped.

    Args:
        sections: what is watched.
        make_engine: a fresh engine per section.
        publish: takes rows by section; may raise BeamControlError.
        about: what is told of the process itself, beside the sections.
        hertz: how often, at most.
    """

    def __init__(
        self,
        sections: Sequence[ObservedSection],
        make_engine: Callable[[], Engine],
        publish: Callable[[Mapping[str, object]], None],
        about: Callable[[], tuple[str, object]],
        hertz: float,
    ) -> None:
        self._make_engine = make_engine
        self._publish = publish
        self._about = about
        self._period_s = 1.0 / hertz
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._rows: dict[str, object] = {}
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
        for thread in self._threads:
            thread.join(JOIN_S)

    def _watch(self, section: ObservedSection) -> None:
        """The thread of one section."""
        while not self._stop.is_set():
            self._set(section.key, unknown_payload(section, "not connected"))
            try:
                engine = self._make_engine()
            except BeamControlError as error:
                self._trouble(section.key, str(error))
            else:
                try:
                    self._follow(section, engine)
                except ChannelConnectionError as error:
                    self._set(section.key, unknown_payload(section, str(error)))
                    self._trouble(section.key, str(error))
                except Exception as error:
                    self._trouble(section.key, f"{type(error).__name__}: {error}")
                finally:
                    with suppress(Exception):
                        engine.close()
            self._stop.wait(CONNECT_S)

    def _follow(self, section: ObservedSection, engine: Engine) -> None:
        """From the connection on.

        Raises:
            ChannelConnectionError: a PV does not answer.
        """
        engine.start(section.layout.all_pvs, CONNECT_S)
        view = SectionView(section, engine)
        self._trouble(section.key, "")
        while not self._stop.wait(self._period_s):
            self._set(section.key, view.payload())

    def _set(self, key: str, payload: Payload) -> None:
        with self._lock:
            self._rows[key] = payload

    def _tell(self) -> None:
        """The thread that publishes."""
        shown: dict[str, object] = {}
        quiet_s = AT_LEAST_S
        while not self._stop.wait(self._period_s):
            key, about = self._about()
            with self._lock:
                rows = {**self._rows, key: about}
            quiet_s += self._period_s
            news = {name: row for name, row in rows.items() if quiet_s >= AT_LEAST_S or row != shown.get(name)}
            quiet_s = 0.0 if quiet_s >= AT_LEAST_S else quiet_s
            try:
                self._publish(news)
            except BeamControlError as error:
                self._trouble("publication", str(error))
            else:
                shown = rows
                self._trouble("publication", "")

    def _trouble(self, what: str, words: str) -> None:
        """Tell a trouble once; empty words: it is over."""
        before = self._troubles.get(what, "")
        self._troubles[what] = words
        if words and words != before:
            _log.warning("%s is not shown: %s", what, words)
        elif before and not words:
            _log.warning("%s is shown again", what)
