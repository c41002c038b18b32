"""The smoke path through the pages, in Debian's Chromium, as somebody new would go through it: sign in, connect, watch
the sync, ask for a proposal, and see what informed it.

Not one error in the console, and nothing wider than the screen.
"""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, Page, Response, expect

from tests.browser.served import chromium
from tests.local.running import MERIDIAN, Running

PATIENCE = 90_000  # milliseconds: a sync, or a proposal, on a busy machine


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser that remembers nothing."""
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 1280, "height": 900})


@pytest.fixture
def complaints(page: Page, boots: Running) -> list[str]:
    """What the browser found wrong with our pages: errors and warnings of the console (a violated policy is one),
    failed requests. The provider's pages are not ours."""
    found: list[str] = []

    def ours(url: str) -> bool:
        return url.startswith(boots.local.web)

    def of_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and ours(message.location["url"] or page.url):
            found.append(f"{message.text} ({message.location})")

    def of_answer(answer: Response) -> None:
        if answer.status >= 400 and ours(answer.url):
            found.append(f"{answer.status} {answer.url}")

    page.on("console", of_console)
    page.on("response", of_answer)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "requestfailed", lambda failed: found.append(f"{failed.failure} {failed.url}") if ours(failed.url) else None
    )
    return found


def fits(page: Page) -> None:
    """Nothing scrolls sideways, neither on a desk nor on a telephone."""
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} at {width} px"


def test_from_the_sign_in_to_a_proposal_that_says_what_informed_it(
    boots: Running, page: Page, complaints: list[str]
) -> None:
    page.goto(boots.local.web)
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    fits(page)
    page.get_by_role("button", name=f"Sign in as {boots.admin(MERIDIAN)}").click()

    card = page.get_by_role("article", name="HubSpot")
    expect(card).to_have_attribute("data-state", "never_connected")
    fits(page)
    card.get_by_role("button", name="Connect").click()
    page.get_by_role("radio", name="Meridian Signage").check()
    page.get_by_role("button", name="Allow").click()

    # Back on the settings page, which follows the sync by itself.
    expect(page.get_by_text("HubSpot is connected.")).to_be_visible()
    expect(card.get_by_role("progressbar")).to_be_visible()
    fits(page)
    page.evaluate("window.loadedOnce = true")
    expect(card.get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE)
    expect(card.locator("[data-field=documents]")).to_contain_text("companies", timeout=PATIENCE)
    expect(card).to_have_attribute("data-state", "up_to_date")
    assert page.evaluate("window.loadedOnce"), "the page was loaded anew"
    ready = httpx.get(f"{boots.local.web}/readyz")
    assert (ready.status_code, ready.json()["dagster"]) == (200, "ok")
    fits(page)

    page.get_by_role("link", name="Proposals").click()
    expect(page.get_by_role("heading", name="Proposals", exact=True)).to_be_visible()
    fits(page)
    company = next(iter(boots.outside.truth(MERIDIAN)["companies"].values()))["properties"]["name"]
    page.get_by_label("Title or client").fill(company)
    page.get_by_label("Brief").fill(f"A proposal for {company}: say what we know of them and what to do next.")
    page.get_by_role("button", name="Write the proposal").click()
    expect(page.get_by_role("heading", name=company, exact=True)).to_be_visible()
    expect(page.locator(".tag-ready")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Informed by").first).to_be_visible()
    assert page.locator(".source-title").count() > 0
    fits(page)
    assert complaints == []
