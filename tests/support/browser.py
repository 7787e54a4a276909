"""A page in this machine's Chromium, with everything that it asks for and says."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from support.command import REPOSITORY

SCREENSHOTS = REPOSITORY / "ci-output"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Prefect's graphs are drawn by WebGL, which Chromium computes where there is no graphics card.
_WITH_WEBGL = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


class Visitor:
    """Someone at a page of a server: counts what they click and fill in."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks, self.fields = page, 0, 0

    def click(self, role: str, name: str, **options: Any) -> None:
        """Click the first thing of a role and a name."""
        self.page.get_by_role(role, name=name, **options).first.click()
        self.clicks += 1

    def fill(self, name: str, text: str) -> None:
        """Write into a field."""
        self.page.get_by_role("textbox", name=name).first.fill(text)
        self.fields += 1

    def picture(self, name: str, **options: Any) -> None:
        """Keep a picture of the page among CI's output."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-1440.png", **options)


@contextmanager
def visiting(url: str) -> Iterator[Visitor]:
    """Open a server's page at the width of a desk."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium("a server's page"), args=_WITH_WEBGL)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(url)
        yield Visitor(page)
        browser.close()


def _chromium(what: str) -> str:
    chromium = next(filter(None, map(shutil.which, _NAMES)), None)
    if chromium is None:
        pytest.skip(f"{what} in a browser: expected Chromium, found none. Install the package chromium.")
    return chromium


@contextmanager
def opened(html: Path, *, width: int = 1440, dark: bool = False) -> Iterator[Any]:
    """Open a page; at the end, nothing that it did may have been wrong: no request, no message, no error."""
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium("the report"), args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if request.url != html.as_uri() else None)
        page.goto(html.as_uri())
        yield page
        browser.close()
    assert [one for one in wrong if not one.startswith("data:")] == []


def check_layout(html: Path, name: str) -> None:
    """See at the widths of a desk and of a phone, light and dark, that nothing sticks out; keep pictures of it."""
    SCREENSHOTS.mkdir(exist_ok=True)
    for width, dark in ((1440, False), (390, False), (1440, True), (390, True)):
        with opened(html, width=width, dark=dark) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == width
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert background == ("rgb(20, 23, 26)" if dark else "rgb(251, 250, 247)")
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}{'-dark' if dark else ''}.png", full_page=True)
