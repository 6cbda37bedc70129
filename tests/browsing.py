"""A real browser for tests of pages: Debian's Chromium, driven by Playwright, and axe-core.

    def test_it(browse: Browse) -> None:
        page = browse(width=360, scheme="dark")
        page.goto(address)
        axe(page)

A page that says anything on its console, throws, or opens a dialog fails its test. axe-core is not
installed with the package: `npm install --prefix tests/.browser axe-core@4`, or DOLMA_KIT_AXE names
its axe.min.js.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

AXE_VARIABLE = "DOLMA_KIT_AXE"
AXE = Path(__file__).parent / ".browser/node_modules/axe-core/axe.min.js"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: the widths and colours in which every view is looked at
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light")]

Browse = Callable[..., "Page"]


def missing() -> str | None:
    """What a browser test needs and this machine has not; None where it has all."""
    if importlib.util.find_spec("playwright") is None:
        return "no Playwright"
    if shutil.which("chromium") is None:
        return "no Chromium"
    return None if _axe_path().is_file() else f"no axe-core at {_axe_path()}"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, started once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browse]:
    """Opens pages of a width, `scheme` light or dark, with or without scripts, each in a context of
    its own; more goes to Playwright's `new_context`."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(*, width: int = 1280, scheme: str = "light", **more: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        context.set_default_timeout(5000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: faults.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"page: {error}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"),
                                          dialog.dismiss()))  # fmt: skip
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def axe(page: Page, rules: Sequence[str] = ()) -> None:
    """No violation that axe-core calls serious or critical, of all its rules or of some."""
    # Evaluated by the driver, which a page's Content-Security-Policy does not concern.
    page.evaluate(_axe_script())
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found = page.evaluate("options => axe.run(options)", options)
    bad = [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert bad == [], "\n".join(bad)


def fits(page: Page) -> None:
    """Nothing makes the page wider than its window."""
    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= window


def _axe_path() -> Path:
    return Path(os.environ.get(AXE_VARIABLE, AXE))


@functools.cache
def _axe_script() -> str:
    return _axe_path().read_text(encoding="utf-8") + "\n;0"
