"""The documentation is a site: built offline, without a warning, every page within reach."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))


class Links(HTMLParser):
    """Every address that a page names, by attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.pages.add(str(given["href"]).split("#")[0])
        if tag in ("script", "img") and given.get("src"):
            self.loaded.add(str(given["src"]))
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.add(str(given["href"]))


def links(page: Path) -> Links:
    found = Links()
    found.feed(page.read_text())
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(out / "state"), str(ROOT / "docs"), str(out / "html")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


def test_every_page_is_reachable_from_the_front_page(site: Path) -> None:
    reached: set[Path] = set()
    open_pages = [site / "index.html"]
    while open_pages:
        page = open_pages.pop()
        if page in reached:
            continue
        reached.add(page)
        for address in links(page).pages:
            target = (page.parent / address).resolve()
            if "://" not in address and target.suffix == ".html" and target.exists():
                open_pages.append(target)
    built = {(site / page).with_suffix(".html").resolve() for page in PAGES}
    missing = built - {page.resolve() for page in reached}
    assert not missing, f"no page leads to {sorted(path.name for path in missing)}"


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not [address for address in links(page).loaded if "//" in address], page.name


def test_the_readme_leads_to_the_documentation() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "docs/index.md" in readme
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", readme):
        assert (ROOT / target).exists(), target
