"""The console in Chromium: size, time to the first view, and a minute of readings at ten times a second.

Starts a soft machine, a control process and the service of its own on loopback.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WATCH_S = 60.0
LAG = """() => {
  window.lags = []; window.frames = 0;
  const seen = new EventSource("/api/v1/events?live=" + encodeURIComponent("cafe2-cm1"));
  const panel = document.querySelector("[data-reading]"), came = new Map();
  const drawn = () => {
    for (const [time, at] of came) if (time <= panel.dataset.reading) {
      window.lags.push(performance.now() - at); came.delete(time);
    }
  };
  new MutationObserver(drawn).observe(panel, {attributes: true});
  seen.addEventListener("live", (event) => {
    window.frames += 1;
    came.set(JSON.parse(event.data).time, performance.now());
    drawn();
  });
}"""


def main() -> None:
    """Print the figures."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        log = (Path(folder) / "up.log").open("w")
        up = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "up", "--soft", "--seed", "7", "--demo-user", "--port", "0"],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            url = _url(up, Path(folder) / "up.log")
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            _look(browser, url)
            browser.close()
        finally:
            up.terminate()
            up.communicate()
            log.close()


def _url(up: "subprocess.Popen[str]", log: Path) -> str:
    assert up.stdout is not None
    said = ""
    for line in up.stdout:
        if "READY http" in line:
            return "http" + line.split("READY http")[1].split()[0]
        said += line
    raise RuntimeError(f"the service did not come up:\n{said}{log.read_text()}")


def _look(browser: Any, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    received = {"bytes": 0}
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.on(
        "Network.loadingFinished", lambda event: received.update(bytes=received["bytes"] + event["encodedDataLength"])
    )
    page.goto(url)
    page.get_by_role("button", name="demo").click()
    page.get_by_test_id("view-machine").wait_for()
    received["bytes"] = 0
    client.send("Network.clearBrowserCache")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    began = time.perf_counter()
    page.goto(f"{url}/#/machine")
    page.reload()
    page.locator("[data-testid=view-machine][data-ready=true]").wait_for()
    first_s = time.perf_counter() - began
    page.goto(f"{url}/#/tune/cafe2-cm1")
    page.locator("[data-testid=view-tune][data-ready=true]").wait_for()
    page.wait_for_timeout(2000)
    print(f"first view {first_s:.2f} s; with charts {received['bytes'] / 1e6:.2f} MB transferred (bars 1 s, 1 MB)")
    page.evaluate(LAG)
    client.send("HeapProfiler.enable")
    heaps = [_heap(client)]
    for _ in range(3):
        page.wait_for_timeout(1000 * WATCH_S / 3)
        heaps.append(_heap(client))
    lags = sorted(page.evaluate("window.lags"))
    frames = page.evaluate("window.frames")
    print(
        f"{frames / WATCH_S:.1f} readings/s for {WATCH_S:g} s; heap {json.dumps([round(h / 1e6, 2) for h in heaps])} MB"
    )
    if lags:
        print(f"reading to picture: median {lags[len(lags) // 2]:.0f} ms, p99 {lags[int(0.99 * len(lags))]:.0f} ms, "
              f"worst {lags[-1]:.0f} ms of {len(lags)} (bar 200 ms)")  # fmt: skip


def _heap(client: Any) -> float:
    client.send("HeapProfiler.collectGarbage")
    return float(client.send("Runtime.getHeapUsage")["usedSize"])
