"""Pages in a real browser: what they look like to keys, to back and forward, to who cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dolma_kit.order.run import Run
from dolma_kit.order.steps import trace_doc
from tests.browsing import LOOKS, Browse, axe, fits

from .conftest import HOSTILE, LONG
from .sites import Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

HARMED = "window.harmed === undefined"


def views(site: Site) -> dict[str, str]:
    to = site.to
    return {
        "start": to.start,
        "step": to.step(2),
        "document": to.document("web-7"),
        "removed document": to.document("short"),
        "long document": to.document(LONG),
        "phrase": to.phrase("page"),
        "form": to.documents,
    }


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_view_can_be_read_by_everyone(
    site: Site, browse: Browse, width: int, scheme: str
) -> None:
    page = browse(width=width, scheme=scheme)
    for address in views(site).values():
        page.goto(site.root + address)
        fits(page)
        axe(page, ["color-contrast"] if scheme == "dark" else [])


def test_the_looks_differ(site: Site, browse: Browse) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        page = browse(scheme=scheme)
        page.goto(site.root + site.to.start)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_what_is_hostile_does_nothing(site: Site, run: Run, browse: Browse) -> None:
    page = browse(width=360)
    for doc_id, text in HOSTILE.items():
        step = trace_doc(run, doc_id).seen[0]
        for address in (
            site.to.document(doc_id),
            site.to.phrase(text),
            site.to.step(step.step, instance=step.instance),
        ):
            page.goto(site.root + address)
            assert page.evaluate(HARMED)
            fits(page)
    page.goto(site.root + site.to.step(step.step))
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    fits(page)
    assert page.evaluate(HARMED)


def test_back_and_forward_lead_where_they_were(site: Site, browse: Browse) -> None:
    page = browse()
    page.goto(site.root + site.to.start)
    page.get_by_label("Phrase", exact=True).fill("The end of page 7")
    page.keyboard.press("Enter")
    phrase = site.root + site.to.phrase("The end of page 7")
    page.wait_for_url(phrase)
    page.get_by_role("link", name="web-7", exact=True).click()
    document = site.root + site.to.document("web-7")
    page.wait_for_url(document)
    page.locator("table a").first.click()
    page.wait_for_url("**/step/**")
    step = page.url
    anchor = step.split("#")[1]
    assert page.locator(f"article#{anchor}:target").is_visible()
    for address in (document, phrase, site.root + site.to.start):
        page.go_back()
        assert page.url == address
    for address in (phrase, document, step):
        page.go_forward()
        assert page.url == address
    fresh = browse()
    fresh.goto(step)
    assert fresh.title() == page.title()
    assert fresh.locator("main").text_content() == page.locator("main").text_content()


def test_keys_move_between_steps_and_to_the_search(site: Site, browse: Browse) -> None:
    page = browse()
    page.goto(site.root + site.to.step(2))
    page.keyboard.press("ArrowRight")
    page.wait_for_url(site.root + site.to.step(3))
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(site.root + site.to.step(2))
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type("a/b")
    page.keyboard.press("ArrowLeft")  # moves in the field
    assert page.locator("#search").input_value() == "a/b"
    page.keyboard.press("Enter")
    page.wait_for_url(site.root + site.to.phrase("a/b"))


def test_a_keyboard_reaches_everything(site: Site, browse: Browse) -> None:
    page = browse()
    for name, address in views(site).items():
        page.goto(site.root + address)
        n = page.evaluate(
            """() => {
              const all = [...document.querySelectorAll('*')];
              window.reached = [];
              addEventListener('focusin', event => window.reached.push([
                all.indexOf(event.target), getComputedStyle(event.target).outlineStyle]));
              const wanted = 'a, button, input, summary, [tabindex="0"]';
              return all.filter(one => one.matches(wanted) && one.type !== 'hidden' &&
                one.checkVisibility()).length;
            }"""
        )
        assert n > 8
        for _ in range(n):
            page.keyboard.press("Tab")
        reached = page.evaluate("window.reached")
        assert len({i for i, _ in reached}) == n, name
        assert {outline for _, outline in reached} == {"solid"}, name
        assert [i for i, _ in reached] == sorted(i for i, _ in reached)


def test_the_skip_link_leads_to_the_content(site: Site, browse: Browse) -> None:
    page = browse()
    page.goto(site.root + site.to.step(2))
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to the content").is_visible()
    page.keyboard.press("Enter")
    assert focused(page) == "main"


def test_columns_are_chosen_with_the_form(site: Site, browse: Browse) -> None:
    page = browse()
    page.goto(site.root + site.to.document("web-7"))
    assert page.locator("mark").count() > 0
    page.get_by_role("link", name="None").click()
    assert page.locator("mark").count() == 0
    page.get_by_label("EMAIL_ADDRESS").check()
    page.get_by_role("button", name="Show these").click()
    assert page.locator("mark").all_inner_texts()[0].strip() == "fox7@example.org"
    page.get_by_label("EMAIL_ADDRESS").uncheck()
    page.get_by_role("button", name="Show these").click()
    assert page.locator("mark").count() == 0


def test_everything_works_without_scripts(site: Site, run: Run, browse: Browse) -> None:
    page = browse(java_script_enabled=False)
    page.goto(site.root + site.to.step(1))
    page.get_by_role("link", name="Step 2").click()
    page.get_by_label("Step", exact=True).fill(str(run.n_steps))
    page.get_by_role("button", name="Go").click()
    assert page.url == site.root + site.to.step(run.n_steps)
    page.goto(site.root + site.to.documents)
    page.get_by_label("Document id").fill("<b>bold</b>")
    page.get_by_role("button", name="Show").click()
    assert "<b>bold</b>" in page.locator("h1").inner_text()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))
