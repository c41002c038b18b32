"""The settings page in Debian's Chromium, in every state, on a desk and on a telephone: axe finds nothing at WCAG 2.2
AA, nothing is wider than the screen; it works by keyboard, without JavaScript, and for those who may only look."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from psycopg.types.json import Jsonb

from boots_pipeline.providers import PROVIDERS
from tests.browser import scenes
from tests.browser.scenes import SCENES, Scene, Stage, in_groups

WIDTHS = (1280, 390)
WCAG = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}
SECTIONS = [{"heading": "Scope", "body": "A stair.\n\n- of oak"}, {"heading": "Price", "body": "12,500 pounds"}]
FIRST = next(iter(PROVIDERS))
TITLE = PROVIDERS[FIRST].title


@pytest.fixture
def as_admin(browser: Browser, address: str, stage: Stage) -> Iterator[Page]:
    yield from signed_in(browser.new_context(), address, stage.admin_email)


@pytest.fixture
def as_member(browser: Browser, address: str, stage: Stage) -> Iterator[Page]:
    yield from signed_in(browser.new_context(), address, stage.member_email)


@pytest.fixture
def without_script(browser: Browser, address: str, stage: Stage) -> Iterator[Page]:
    yield from signed_in(browser.new_context(java_script_enabled=False), address, stage.admin_email)


def signed_in(context: BrowserContext, address: str, email: str) -> Iterator[Page]:
    """A page whose every error of the console is one of the test."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name=f"Sign in as {email}").click()
    expect(page.get_by_role("heading", name="Integrations", exact=True)).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def holds(page: Page) -> None:
    """What must hold of every page, at both widths."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} at {width} px"
        found = Axe().run(page, options=WCAG)
        assert found.violations_count == 0, f"{page.url} at {width} px:\n{found.generate_report()}"


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")


def show(page: Page, stage: Stage, play: Callable[[Scene], None]) -> None:
    """The first provider in a scene, the others never connected."""
    stage.set({FIRST: play})
    page.reload()


@pytest.mark.parametrize("shown", in_groups(), ids=lambda shown: ",".join(play.__name__ for play in shown.values()))
def test_every_state_holds(as_admin: Page, stage: Stage, shown: dict[str, Callable[[Scene], None]]) -> None:
    stage.set(shown)
    as_admin.reload()
    for provider, play in shown.items():
        expect(as_admin.locator(f"#card-{provider}")).to_have_attribute("data-state", SCENES[play])
    unfold(as_admin)
    holds(as_admin)


def test_the_other_pages_hold(browser: Browser, address: str, as_admin: Page, stage: Stage) -> None:
    page = browser.new_page()
    page.goto(f"{address}/login")
    holds(page)
    page.goto(f"{address}/nowhere")
    holds(page)
    page.close()

    stage.set({FIRST: scenes.left_out})
    for state in ("empty", "queued", "failed", "ready"):
        if state != "empty":
            row = stage.owner.execute(
                """insert into proposals (org_id, title, brief, status, sections)
                   values (%s, 'An oak stair', 'For a barn.', %s, %s) returning id""",
                [stage.org_id, state, Jsonb(SECTIONS)],
            ).fetchone()
            assert row is not None
            attribute(stage, row["id"])
            as_admin.goto(f"{address}/proposals/{row['id']}")
            holds(as_admin)
        as_admin.goto(f"{address}/proposals")
        holds(as_admin)


def attribute(stage: Stage, proposal_id: object) -> None:
    """A source that stands, one that changed, one that was deleted at its provider, one that is gone."""
    stage.owner.execute(
        """insert into source_attribution (org_id, proposal_id, section, agent_role, source_document_id,
             evidence_document_id, evidence_content_hash, evidence_title, evidence_quote, evidence_provider,
             relevance_score, evidence_as_of)
           select org_id, %s, 'Scope', 'writer', id, id, case when n = 2 then 'other'::bytea else content_hash end,
                  title, 'As it says', provider, 0.8, now()
             from (select *, row_number() over (order by id) as n from source_documents) d where n <= 4""",
        [proposal_id],
    )
    stage.owner.execute(
        """update source_attribution set evidence_gone = id, evidence_title = null, evidence_quote = null
            where id = (select id from source_attribution limit 1)"""
    )


def test_disconnecting_asks_first_by_keyboard_alone(as_admin: Page, stage: Stage) -> None:
    show(as_admin, stage, scenes.left_out)
    keyboard = as_admin.keyboard
    keyboard.press("Tab")
    expect(as_admin.get_by_role("link", name="Skip to content")).to_be_focused()
    keyboard.press("Enter")
    for name in (f"Sync now: {TITLE}", f"Disconnect: {TITLE}"):
        keyboard.press("Tab")
        focused = as_admin.locator(":focus")
        expect(focused).to_have_accessible_name(name)
        assert focused.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
    keyboard.press("Enter")
    dialog = as_admin.get_by_role("dialog", name=f"Disconnect {TITLE}?")
    expect(dialog).to_contain_text("412 companies, 1,204 contacts, 277 deals")
    expect(dialog.get_by_role("button", name="Disconnect", exact=True)).to_be_visible()
    holds(as_admin)
    keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(as_admin.get_by_role("link", name=f"Disconnect: {TITLE}")).to_be_focused()

    keyboard.press("Enter")
    dialog.get_by_role("radio", name="Keep it").focus()
    keyboard.press("ArrowDown")
    expect(dialog.get_by_role("button", name="Disconnect and delete")).to_be_visible()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(as_admin.get_by_role("status").filter(has_text="what was synced is deleted")).to_be_visible()
    expect(as_admin.locator(f"#card-{FIRST}")).to_have_attribute("data-state", "disconnected")
    left = stage.owner.execute("select count(*) as n from source_documents").fetchone()
    assert left == {"n": 0}


def test_without_javascript_every_button_works(without_script: Page, stage: Stage) -> None:
    page = without_script
    show(page, stage, scenes.left_out)
    page.get_by_text("Left out: 3 items").click()
    page.get_by_role("button", name="Try again what was left out").click()
    card = page.locator(f"#card-{FIRST}")
    expect(card).to_have_attribute("data-state", "queued")
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1 or "refresh" in page.content()
    tried = stage.owner.execute("select distinct attempts from quarantined_items").fetchall()
    assert tried == [{"attempts": 1}]

    page.get_by_role("link", name=f"Disconnect: {TITLE}").click()
    expect(page.get_by_role("heading", name=f"Disconnect {TITLE}?")).to_be_visible()
    page.get_by_role("radio", name="Delete it").check()
    page.get_by_role("button", name="Disconnect and delete").click()
    expect(page.get_by_text("what was synced is deleted")).to_be_visible()
    expect(card).to_have_attribute("data-state", "disconnected")


@pytest.mark.parametrize(
    ("flags", "role", "said"),
    [
        (f"connected={FIRST}&account=other", "status", "to another account than before"),
        (f"error=failed&provider={FIRST}", "alert", "The card says why"),
        (f"error=cancelled&provider={FIRST}", "alert", "You cancelled"),
    ],
)
def test_how_the_last_press_ended_holds_and_is_said_once(
    as_admin: Page, address: str, flags: str, role: Literal["status", "alert"], said: str
) -> None:
    as_admin.goto(f"{address}/settings/integrations?{flags}")
    expect(as_admin.get_by_role(role).filter(has_text=said)).to_be_visible()
    holds(as_admin)
    as_admin.reload()
    expect(as_admin.get_by_role(role).filter(has_text=said)).to_have_count(0)


def test_the_page_that_asks_holds(as_admin: Page, address: str, stage: Stage) -> None:
    for play in (scenes.left_out, scenes.disconnected_and_kept, scenes.disconnected_and_deleted):
        stage.set({FIRST: play})
        as_admin.goto(f"{address}/settings/integrations/{FIRST}/disconnect")
        holds(as_admin)


def test_progress_moves_by_itself_and_is_spoken_of_by_the_quarter(as_admin: Page, stage: Stage) -> None:
    show(as_admin, stage, scenes.syncing)
    card, spoken = as_admin.locator(f"#card-{FIRST}"), as_admin.locator("#spoken")
    as_admin.evaluate("window.loadedOnce = true")
    expect(card.locator("[data-field=progress]")).to_contain_text("1,240 of 4,100 items")
    expect(spoken).to_be_empty()
    stage.owner.execute("update ingestion_jobs set items_seen = 1300")
    expect(card.locator("[data-field=progress]")).to_contain_text("1,300 of 4,100 items")
    expect(spoken).to_be_empty()
    stage.owner.execute("update ingestion_jobs set items_seen = 2060")
    expect(spoken).to_have_text(f"{TITLE}: Syncing, 50 percent")
    expect(card.get_by_role("progressbar")).to_have_js_property("value", 2060)
    stage.owner.execute(
        "update ingestion_jobs set status = 'completed', lease_token = null, lease_until = null, finished_at = now()"
    )
    stage.owner.execute("update connected_sources set last_synced_at = now()")
    expect(card).to_have_attribute("data-state", "up_to_date")
    expect(spoken).to_have_text(f"{TITLE}: Up to date as of just now")
    assert as_admin.evaluate("window.loadedOnce"), "the page was loaded anew"


def test_a_member_sees_everything_and_can_press_nothing(as_member: Page, stage: Stage) -> None:
    show(as_member, stage, scenes.left_out)
    card = as_member.locator(f"#card-{FIRST}")
    expect(card).to_contain_text("412 companies, 1,204 contacts, 277 deals")
    expect(as_member.get_by_text("Only an admin can change them.")).to_be_visible()
    unfold(as_member)
    expect(card.get_by_text("It is larger than 5 MB.")).to_be_visible()
    assert as_member.locator("main form, main a[data-dialog]").count() == 0
    assert all(button.is_disabled() for button in as_member.locator("main button").all())
    holds(as_member)
