"""`make screenshots`: pictures of the settings page for the README, in every state, on a desk (1280 px) and on a
telephone (390 px). They are taken of what the tests look at, on a database that is gone afterwards."""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from PIL import Image
from playwright.sync_api import Page
from psycopg.rows import dict_row

from boots_pipeline.local.postgres import create_databases, embedded_postgres
from boots_pipeline.migrations import migrate
from boots_pipeline.providers import PROVIDERS
from tests.browser import scenes
from tests.browser.scenes import Stage, in_groups, make_stage
from tests.browser.served import chromium, served
from tests.folders import server_folder

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
COLUMNS = {1280: 2, 390: 6}
GAP = 24
SHOWN = (scenes.syncing, scenes.left_out, scenes.needs_reauth, scenes.never_connected)


def main() -> int:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _stage() as (stage, address), chromium() as browser:
        for width, columns in COLUMNS.items():
            page = browser.new_page(viewport={"width": width, "height": 844 if width == 390 else 900})
            _sign_in(page, address, stage)
            _save(_sheet(list(_cards(page, stage)), columns), f"states-{width}")
            stage.set(dict(zip(PROVIDERS, SHOWN, strict=False)))
            page.reload()
            _save(_taken(page.screenshot(full_page=True)), f"integrations-{width}")
            page.locator("a[data-dialog]").nth(1).click()
            page.get_by_role("dialog").get_by_label("Delete it").check()
            _save(_taken(page.screenshot()), f"disconnect-{width}")
            page.close()
    return 0


@contextmanager
def _stage() -> Iterator[tuple[Stage, str]]:
    with warnings.catch_warnings(), server_folder() as folder:
        warnings.simplefilter("ignore")  # the wheel warns where there is no XDG_RUNTIME_DIR
        with embedded_postgres(folder / "data") as socket_dir:
            urls = create_databases(socket_dir, "pictures")
            migrate(urls.owner)
            with (
                psycopg.connect(urls.owner, autocommit=True, row_factory=dict_row) as owner,
                served(urls.web) as address,
            ):
                yield make_stage(owner), address


def _sign_in(page: Page, address: str, stage: Stage) -> None:
    page.goto(address)
    page.get_by_role("button", name=f"Sign in as {stage.admin_email}").click()


def _cards(page: Page, stage: Stage) -> Iterator[Image.Image]:
    """The card of each scene, what it can unfold unfolded."""
    for shown in in_groups():
        stage.set(shown)
        page.reload()
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        for provider in shown:
            yield _taken(page.locator(f"#card-{provider}").screenshot())


def _sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """All of them on one, each below the shortest column."""
    width = pictures[0].width + GAP
    heights = [GAP] * columns
    placed = []
    for picture in pictures:
        column = heights.index(min(heights))
        placed.append((picture, (GAP + column * width, heights[column])))
        heights[column] += picture.height + GAP
    sheet = Image.new("RGB", (GAP + columns * width, max(heights)), "white")
    for picture, place in placed:
        sheet.paste(picture, place)
    return sheet


def _taken(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _save(picture: Image.Image, name: str) -> None:
    path = FOLDER / f"{name}.png"
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(
        f"{path.relative_to(FOLDER.parents[1])}  {picture.width} x {picture.height}, {path.stat().st_size // 1024} KB"
    )


if __name__ == "__main__":
    sys.exit(main())
