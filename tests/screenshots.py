"""Pictures of every view of the console, from a soft machine: ``make screenshots``.

Starts everything on loopback, runs a preflight and a few tuning runs, has one section in trouble, takes the pictures at
two sizes, dark and light, into var/screenshots; the dark ones of the usual size, with fewer colours, into
docs/images/console.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
OUT = ROOT / "var" / "screenshots"
DOCUMENTED = ROOT / "docs" / "images" / "console"
COLOURS = 64
SIZES = {"": (1280, 800), "-large": (2560, 1440)}
SCHEMES = ("dark", "light")
PATIENCE_S = 180.0


class Service:
    """The running service, as the demonstration user."""

    def __init__(self, url: str) -> None:
        self.url = url
        ways = httpx.get(f"{url}/api/v1/session/ways").json()
        token = httpx.post(f"{url}/api/v1/session", json=ways["demo"] | {"carrier": "bearer"}).json()["token"]
        self._http = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30.0)

    def get(self, path: str) -> Any:
        """An answer."""
        return self._http.get(path).raise_for_status().json()

    def ask(self, path: str, **body: Any) -> int:
        """Ask for a run; its number."""
        request = self._http.post(path, json=body).raise_for_status().json()["id"]
        return int(_until(lambda: self.get(f"/requests/{request}")["run"]))

    def end_of(self, run: int) -> None:
        """Wait for the end of a run."""
        _until(lambda: self.get(f"/runs/{run}")["is_over"])

    def tell(self, run: int, verb: str) -> None:
        """Command a run."""
        version = self._http.get(f"/runs/{run}").headers["ETag"]
        self._http.post(f"/runs/{run}/{verb}", headers={"If-Match": version}).raise_for_status()


def _until(look: Any) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("the demonstration does not come to its end")
        time.sleep(0.2)
    return seen


def main() -> None:
    """Take them all."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        up = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "up", "--soft", "--seed", "11", "--demo-user", "--port", "0"],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            service = Service(_url(up))
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            _take_all(browser, service)
            browser.close()
        finally:
            up.terminate()
            up.communicate()
    _document()


def _document() -> None:
    """The pictures that the documentation shows, small enough for it."""
    DOCUMENTED.mkdir(parents=True, exist_ok=True)
    for file in [*OUT.glob("*-dark.png"), OUT / "machine-light.png", OUT / "tune-light.png"]:
        picture = Image.open(file).convert("RGB")
        few = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(DOCUMENTED / file.name, optimize=True)


def _url(up: "subprocess.Popen[str]") -> str:
    assert up.stdout is not None
    for line in up.stdout:
        if "READY http" in line:
            return "http" + line.split("READY http")[1].split()[0]
    raise RuntimeError("the service did not come up")


def _take_all(browser: Browser, service: Service) -> None:
    """Empty first, then with a history, then with a run on its way."""
    pages = {(scheme, size): _page(browser, service, scheme, size) for scheme in SCHEMES for size in SIZES}
    _take(pages, service, {"history-empty": "history", "advice": "tune/cafe2-cm1"})
    service.end_of(service.ask("/preflight/cafe2-cm1"))
    first = service.ask("/runs", task="cm1-orbit", note="after the shutdown")
    service.end_of(first)
    second = service.ask("/runs", task="rfq-transmission", max_steps=12)
    third = service.ask("/runs", task="cm2-orbit", algorithm="svd", target=0.02)
    service.end_of(third)
    service.end_of(second)
    running = service.ask("/runs", task="cm3-orbit", review=True)
    _until(lambda: service.get(f"/runs/{running}")["state"] == "review")
    halted = service.ask("/runs", task="cm2-orbit", algorithm="svd", target=0.02)
    _until(lambda: len(service.get(f"/runs/{halted}/steps")["steps"]) > 2)
    service.tell(halted, "halt")
    _until(lambda: service.get(f"/runs/{halted}")["state"] == "halted")
    views = {
        "machine": "machine", "tune": "tune/cafe2-cm3", "halted": "tune/cafe2-cm2", "injector": "tune/lpi-lebt",
        "preflight": "preflight/cafe2-cm1", "history": "history", "run": f"history/{first}",
        "compare": f"compare/{first}/{third}", "agents": "agents", "agent": "agents/cafe2-orbit", "admin": "admin",
    }  # fmt: skip
    _take(pages, service, views)
    service.tell(halted, "restore")
    service.tell(running, "abort")
    for run in (halted, running):
        service.end_of(run)


def _page(browser: Browser, service: Service, scheme: str, size: str) -> Page:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(service.url)
    page.get_by_test_id("view-login").wait_for()
    page.screenshot(path=OUT / f"login-{scheme}{size}.png")
    page.get_by_role("button", name="demo").click()
    page.get_by_test_id("view-machine").wait_for()
    return page


def _take(pages: dict[tuple[str, str], Page], service: Service, views: dict[str, str]) -> None:
    for (scheme, size), page in pages.items():
        for name, view in views.items():
            page.goto(f"{service.url}/#/{view}")
            page.locator(f"[data-testid=view-{view.split('/')[0]}][data-ready=true]").wait_for()
            if name == "advice":
                page.get_by_test_id("ask-advice").click()
                page.get_by_test_id("advice-table").wait_for()
            page.wait_for_timeout(1500)
            page.screenshot(path=OUT / f"{name}-{scheme}{size}.png")


if __name__ == "__main__":
    main()
