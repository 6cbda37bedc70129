"""The page in a real browser: nothing is said on the console, nothing overflows, nothing acts."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_kit.reporting.page import report_page
from tests.browsing import LOOKS, Browse, axe, fits

from . import example


@pytest.fixture(scope="module")
def pages(page_text: str, hostile_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pages as files, as they are opened."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"full": page_text, "hostile": hostile_text, "nothing": report_page(example.NOTHING)}
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8", errors="replace")
    return folder


@pytest.mark.parametrize("width", sorted({width for width, _ in LOOKS}))
@pytest.mark.parametrize("name", ["full", "hostile"])
def test_a_page_fits(pages: Path, browse: Browse, name: str, width: int) -> None:
    page = browse(width=width)
    page.goto((pages / f"{name}.html").as_uri())
    fits(page)


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("full", 1280, "light"), ("full", 1280, "dark"), ("nothing", 360, "light")],
)
def test_a_page_is_accessible(
    pages: Path, browse: Browse, name: str, width: int, scheme: str
) -> None:
    page = browse(width=width, scheme=scheme)
    page.goto((pages / f"{name}.html").as_uri())
    fits(page)
    axe(page)


def test_figures_can_be_read(pages: Path, browse: Browse) -> None:
    """In the colours of the look, letters of 9 points at least, none of them cut off."""
    colours = []
    for scheme in ("light", "dark"):
        page = browse(scheme=scheme)
        page.goto((pages / "full.html").as_uri())
        text = page.locator("#composition svg text").first
        colours.append(text.evaluate("e => getComputedStyle(e).fill"))
    assert colours[0] != colours[1]
    smallest, cut = page.evaluate(
        """() => {
          const sizes = [], cut = [];
          for (const svg of document.querySelectorAll('.drawn svg')) {
            const box = svg.getBoundingClientRect();
            const scale = box.width / svg.viewBox.baseVal.width;
            for (const text of svg.querySelectorAll('text')) {
              sizes.push(parseFloat(getComputedStyle(text).fontSize) * scale);
              const own = text.getBoundingClientRect();
              if (own.left < box.left - 1 || own.right > box.right + 1 ||
                  own.top < box.top - 1 || own.bottom > box.bottom + 1) cut.push(text.textContent);
            }
          }
          return [Math.min(...sizes), cut];
        }"""
    )
    assert cut == []
    assert smallest >= 9 * 4 / 3 - 0.1  # pixels


def test_what_is_hostile_does_nothing(pages: Path, browse: Browse) -> None:
    page = browse(width=360)
    page.goto((pages / "hostile.html").as_uri())
    assert page.evaluate("window.acted") is None
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.links.length") == page.locator("nav a").count()
    # Marks that turn the direction of text are named, so that nothing stands in another place.
    assert "U+202E" in page.inner_text("main")
    assert "\u202e" not in page.content()


def test_contents_lead_to_sections(pages: Path, browse: Browse) -> None:
    page = browse(width=360)
    page.goto((pages / "full.html").as_uri())
    page.locator("details.contents summary").click()
    page.locator("details.contents a", has_text="Duplicates").click()
    assert page.locator("#duplicates h2").bounding_box()["y"] < 200  # type: ignore[index]
    assert page.url.endswith("#duplicates")
