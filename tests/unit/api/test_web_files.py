"""Files of the console."""

import gzip
from pathlib import Path

from beamctl.api.routers.console import FILES
from beamctl.api.web_files import WebFiles

WEB = Path(__file__).parents[3] / "beamctl" / "web"
BUDGET_BYTES = 1_000_000


def test_a_file_as_it_is_and_compressed(tmp_path):
    text = b"export const one = 1;\n" * 100
    (tmp_path / "one.js").write_bytes(text)
    file = WebFiles(tmp_path).get("one.js")
    assert file is not None
    assert file.content == text
    assert file.zipped is not None
    assert gzip.decompress(file.zipped) == text
    assert file.media_type == "text/javascript; charset=utf-8"


def test_small_files_are_not_compressed(tmp_path):
    (tmp_path / "one.css").write_text("a {}")
    file = WebFiles(tmp_path).get("one.css")
    assert file is not None
    assert file.zipped is None


def test_a_file_that_is_replaced_is_another(tmp_path):
    files = WebFiles(tmp_path)
    (tmp_path / "one.css").write_text("a {}")
    before = files.get("one.css")
    assert files.get("one.css") is before
    (tmp_path / "one.css").write_text("b { color: red; }")
    after = files.get("one.css")
    assert before is not None
    assert after is not None
    assert after.etag != before.etag


def test_nothing_outside_of_the_folder(tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    inside = tmp_path / "web"
    inside.mkdir()
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    files = WebFiles(inside)
    for path in ("../secret.txt", "link.txt", "", ".", "/etc/passwd", "missing.js"):
        assert files.get(path) is None


def test_the_console_fits_its_budget():
    files = [FILES.get(str(path.relative_to(WEB))) for path in sorted(WEB.rglob("*")) if path.is_file()]
    assert sum(len(file.zipped or file.content) for file in files if file) < BUDGET_BYTES


def test_everything_comes_from_here():
    own = [path for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts]
    for path in own:
        text = path.read_text()
        assert "https://" not in text, path
        assert "innerHTML" not in text, path
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path
