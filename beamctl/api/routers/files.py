"""Runs as files: raw samples, everything, a report for the logbook."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse, StreamingResponse

from beamctl.api import downloads, runs_view
from beamctl.api.access import Viewer
from beamctl.api.downloads import SampleFormat
from beamctl.api.parameters import RowNumber
from beamctl.api.report.page import report
from beamctl.api.routing import resource
from beamctl.api.service import Served
from beamctl.api.version import PREFIX

router = resource("runs")
_ROOT = f"{PREFIX}/runs"
_NO_SCRIPT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""a report is looked at, and does nothing"""

_SAMPLES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media: {} for media in downloads.MEDIA.values()}},
    501: {},
}
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}


@router.get(f"{_ROOT}/{{run}}/samples", response_class=StreamingResponse, responses=_SAMPLES)
def download_samples(
    run: RowNumber,
    service: Served,
    viewer: Viewer,
    form: Annotated[SampleFormat, Query(alias="format")] = SampleFormat.CSV,
) -> StreamingResponse:
    """Every raw sample of a run, bit by bit as it arrived."""
    runs_view.find(service, run)
    return downloads.samples(service.store, run, form)


@router.get(f"{_ROOT}/{{run}}/export", response_class=StreamingResponse, responses=_JSON)
def export_run(run: RowNumber, service: Served, viewer: Viewer) -> StreamingResponse:
    """Everything that is written down of a run, as JSON."""
    runs_view.find(service, run)
    return downloads.everything(service.store, run)


@router.get(f"{_ROOT}/{{run}}/report", response_class=HTMLResponse)
def get_report(run: RowNumber, service: Served, viewer: Viewer) -> HTMLResponse:
    """One page for the logbook, without scripts."""
    headers = {"Content-Security-Policy": _NO_SCRIPT, "Cache-Control": "no-store"}
    return HTMLResponse(report(service, run), headers=headers)
