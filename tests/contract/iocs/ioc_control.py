"""How a test steers its IOC: a line on stdin is a command, one on stdout the acknowledgement."""

import os
import sys
import threading
from collections.abc import Callable, Mapping


def say(text: str) -> None:
    """Tell the test; other output of the IOC lacks the prefix."""
    print(f"IOC: {text}", flush=True)


def obey(commands: Mapping[str, Callable[[], None]]) -> None:
    """Run commands from stdin in a thread of their own; leave when the test closes it or dies."""

    def loop() -> None:
        for line in sys.stdin:
            commands[line.strip()]()
            say(f"done {line.strip()}")
        os._exit(0)

    threading.Thread(target=loop, daemon=True).start()
    say("ready")
