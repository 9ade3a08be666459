"""The fleet's page in a real browser: a thousand districts with awkward names."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page
from roster_fleet.report import stamp
from roster_fleet.status import page as pages
from roster_fleet.status import rows as status
from roster_fleet.status.cache import Cache
from roster_fleet.status.rows import Row
from roster_upload.terminal.printable import printable
from support import fleets, share
from support.browser import Visit, browsing, tab
from support.fleets import NOW

DISTRICTS, MANY_DISTRICTS, NIGHTS, FEW_NIGHTS = 60, share.of(400), 400, 20
SCHEMES = ["light", "dark"]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
HELD = "Alder Lake 0050"
# `PICTURES=1 pytest tests/integration/test_status_page.py -k picture` keeps the pictures. The first
# is the README's.
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
PICTURES = {
    "docs/status-page.png": DESKTOP | {"height": 512},
    "build/status-page-phone.png": PHONE,
}
PICTURED = ["Alder Valley", "Birch Hill", "Dogwood Bay", "Elm Springs"]
PICTURED_FATES = {1: "held", 3: "stale"}


def invent(districts: int, nights: int, folder: Path) -> list[Row]:
    """Return the rows of a fleet with so many districts, each with so many nights."""
    found = fleets.hosts(fleets.results(districts, nights), Cache(folder))
    return status.build_rows(found, "inventories/mine")


def write(rows: list[Row], folder: Path) -> Path:
    """Write the page of those rows. Return its path."""
    pages.write(folder / "status.html", pages.build(rows, stamp(NOW), "mine"))
    return folder / "status.html"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return invent(DISTRICTS, NIGHTS, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def path(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(rows, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Page:
    return tab(browser, viewport=DESKTOP)


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Page:
    return tab(browser, viewport=PHONE, has_touch=True)


@pytest.fixture(scope="module")
def timed(browser: Browser) -> Page:
    """Return a tab whose clock is set by the tests."""
    return tab(browser)


@pytest.fixture(params=SCHEMES)
def visit(request: pytest.FixtureRequest, desktop: Page, path: Path) -> Iterator[Visit]:
    """Open the page in light and in dark."""
    found = Visit(desktop, path, color_scheme=request.param)
    yield found
    found.end()


@pytest.fixture
def page(desktop: Page, path: Path) -> Iterator[Page]:
    """Open the page, once."""
    found = Visit(desktop, path, reduced_motion="reduce")
    yield desktop
    found.end()


def column(page: Page, name: str) -> list[str]:
    """Return a column's texts, from the top, of the visible rows."""
    part = " .open" if name == "district" else ""
    texts: list[str] = page.eval_on_selector_all(
        f"#rows tr:not([hidden]) td.{name}{part}", "cells => cells.map(cell => cell.textContent)"
    )
    return texts


def chip(page: Page, state: str) -> Locator:
    return page.locator(f".chip[data-state={state}]")


def head(page: Page, name: str) -> Locator:
    return page.locator(f"th[data-name={name}]")


def violations(page: Page) -> list[str]:
    """Return axe-core's findings on the page, contrast included."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']} ({len(v['nodes'])})" for v in found]


def test_all_districts_are_there_the_red_ones_first(desktop: Page, tmp_path: Path) -> None:
    rows = invent(MANY_DISTRICTS, FEW_NIGHTS, tmp_path)
    visit = Visit(desktop, write(rows, tmp_path))
    page = visit.page
    assert column(page, "district") == [row.name for row in rows]
    states = [text.strip().lower() for text in column(page, "state")]
    assert states == [row.state for row in rows]
    assert states[0] == "red"
    for state in ("red", "amber", "green"):
        assert f"{states.count(state)}" in chip(page, state).inner_text()
    assert page.locator("caption").count() == 1
    assert page.locator("h1").inner_text() == "mine: roster deliveries"
    assert page.locator("html").get_attribute("lang") == "en"
    missing = "svg[role=img]:not([aria-label]), svg:not([role=img]):not([aria-hidden=true])"
    assert page.locator(missing).count() == 0
    visit.end()


def bad(text: str) -> list[str]:
    """Return the number of bad nights in a cell's text. It is empty without nights."""
    if text.startswith("all in order"):
        return ["0"]
    return re.findall(r"(\d+) of \d+ not in order", text)


def test_every_column_sorts_both_ways(page: Page, rows: list[Row]) -> None:
    known = {row.name: row for row in rows}
    by_name = [known[name] for name in column(page, "district")]
    numbers: dict[str, Callable[[Row], int | None]] = {
        "students": lambda r: r.newest.students if r.newest else None,
        "credential": lambda r: r.credential_days,
        "state": lambda r: status.STATES.index(r.state),
    }
    texts: dict[str, Callable[[Row], str]] = {
        "night": lambda r: f"{r.outcome} {r.nights[-1].night}" if r.nights else "",
        "note": lambda r: r.problems[0].text if r.problems else "",
    }
    names = page.eval_on_selector_all("#head th", "all => all.map(th => th.dataset.name)")
    assert len(names) == 8
    assert len(by_name) == DISTRICTS
    for name in names:
        first = "descending" if name == "state" else "ascending"  # it is sorted by state already
        for direction in (first, {"ascending": "descending"}.get(first, "ascending")):
            head(page, name).locator("button").click()
            assert head(page, name).get_attribute("aria-sort") == direction
            assert page.locator("th[aria-sort]").count() == 1
            districts = column(page, "district")
            assert sorted(districts) == sorted(known)
            if name in numbers:
                found = [numbers[name](known[district]) for district in districts]
                values = [value for value in found if value is not None]
                assert values == sorted(values, reverse=direction == "descending"), name
                assert None not in found[: len(values)]  # unknown values come last
            elif name == "next":  # all on the same day
                keys = [text[:5] for text in column(page, name) if text]
                assert keys == sorted(keys, reverse=direction == "descending"), name
            elif name == "district":  # in the browser's order, except these, whose order is free
                plain = [d for d in districts if re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+ \d{4}", d)]
                assert len(plain) > DISTRICTS * 0.8
                assert plain == sorted(plain, reverse=direction == "descending")
            elif name == "nights":
                counts = [int(found) for text in column(page, name) for found in bad(text)]
                assert len(set(counts)) > 3
                assert counts == sorted(counts, reverse=direction == "descending")
            else:  # equal values are adjacent
                keys = [texts[name](known[district]) for district in districts]
                runs = [key for key, _ in itertools.groupby(keys)]
                assert len(runs) == len(set(runs)) > 3, name


def test_text_and_states_filter(page: Page, rows: list[Row]) -> None:
    search = page.get_by_label("Search")
    search.fill("o'brien")
    assert column(page, "district") == ["O'Brien Valley"]
    search.fill("refused 0053")
    assert column(page, "district") == ["Dogwood Lake 0053"]
    assert page.locator("#count").inner_text() == f"1 of {DISTRICTS:,} shown"
    search.fill("no such district")
    assert column(page, "district") == []
    assert page.locator("#none").is_visible()
    search.fill("")
    for states in (["red"], ["red", "amber"]):
        chip(page, states[-1]).click()
        assert chip(page, states[-1]).get_attribute("aria-pressed") == "true"
        wanted = [row.name for row in rows if row.state in states]
        assert column(page, "district") == wanted
    chip(page, "red").click()
    assert {text.strip() for text in column(page, "state")} == {"Amber"}
    head(page, "district").locator("button").click()
    assert {text.strip() for text in column(page, "state")} == {"Amber"}  # sorting keeps it


def test_a_district_opens_with_its_nights_and_the_approval(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("Search").fill(HELD)
    page.get_by_role("button", name="Show how to approve it").click()
    assert page.get_by_role("dialog", name=HELD).is_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=HELD).click()
    dialog = page.get_by_role("dialog", name=HELD)
    assert dialog.locator(".guard li").inner_text().startswith("users.student: 500 of 2,000")
    command = dialog.locator("pre").inner_text()
    assert command == (
        "ansible-playbook playbooks/approve.yml -i inventories/mine --limit roster-0050 "
        f'-e \'{{"roster_feed": "feed-0050", "approve_digest": "{fleets.DIGEST}", '
        '"approve_reason": "..."}\''
    )
    dialog.get_by_role("button", name="Copy").click()
    dialog.get_by_role("button", name="Copied").wait_for()
    assert dialog.locator(".scroll svg g").count() == NIGHTS
    assert "23 to 24 November: held (17)" in dialog.locator(".scroll title").all_text_contents()
    told = dialog.locator(".scroll svg").get_attribute("aria-label") or ""
    assert "400 nights, the last of 23 to 24 November: " in told
    titles = dialog.locator("figcaption b").all_inner_texts()
    assert titles == [title for _, title, _ in pages.SERIES]
    picture = dialog.locator("figure svg").first
    picture.hover(position={"x": 1, "y": 20})
    told = dialog.locator("figcaption .small").first.inner_text()
    assert told.startswith("21 to 22 October 2025: ")
    assert dialog.locator(".wrong tbody tr").first.inner_text().startswith("23 to 24 November\t")
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.textContent") == HELD


def test_the_page_shows_just_the_numbers_of_the_report(page: Page, rows: list[Row]) -> None:
    row = next(row for row in rows if row.name == HELD)
    page.get_by_role("button", name=HELD).click()
    labels = page.locator("figure svg").evaluate_all("all => all.map(s => s.ariaLabel)")
    for index, name in enumerate(("students", "teachers", "classes", "enrollments")):
        values = [getattr(night, name) for night in row.nights]
        known = [value for value in values if value is not None]
        assert labels[index].endswith(f"now {known[-1]:,}, {min(known):,} to {max(known):,}"), (
            labels[index]
        )


def test_an_awkward_name_is_only_a_name(page: Page) -> None:
    for name in fleets.AWKWARD:
        page.locator(".open").filter(has_text=printable(name)[:9]).first.click()
        assert page.locator("#title").text_content() in [*map(printable, fleets.AWKWARD)]
        page.keyboard.press("Escape")


def test_it_works_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert chip(page, "red").get_attribute("aria-pressed") == "true"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "open":
            break
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_screen_readers_and_contrast(visit: Visit) -> None:
    # One of each kind, since the rows do not differ otherwise and axe is slow.
    visit.page.get_by_label("Search").fill("00")
    for name in ("state", "nights"):
        head(visit.page, name).locator("button").click()
    visit.page.get_by_label("Search").fill("000")
    assert set(column(visit.page, "state")) == {" Red", " Amber", " Green"}
    assert violations(visit.page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_fits_a_phone(phone: Page, path: Path, scheme: str) -> None:
    visit = Visit(phone, path, color_scheme=scheme)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.get_by_label("Search").fill(HELD)
    assert violations(page) == []
    page.get_by_role("button", name=HELD).tap()
    dialog = page.get_by_role("dialog", name=HELD)
    box = dialog.bounding_box()
    assert box
    assert box["width"] <= PHONE["width"]
    assert dialog.evaluate("d => d.scrollWidth <= d.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert violations(page) == []
    visit.end()


def test_nothing_can_be_fetched(path: Path, desktop: Page) -> None:
    visit = Visit(desktop, path)
    load = (
        "([tag, source]) => new Promise((resolve) => { const e = document.createElement(tag); "
        "e.onload = () => resolve(true); e.onerror = () => resolve(false); e.src = source; "
        "document.body.append(e); })"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert visit.page.evaluate("a => fetch(a).then(() => false, () => true)", address)
        assert not visit.page.evaluate(load, ["img", address])
        assert not visit.page.evaluate(load, ["script", address])
        server.setblocking(False)  # a request would not have been answered yet
        with pytest.raises(BlockingIOError):
            server.accept()
    visit.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{textContent: 'document.title = 1'}))"
    )
    assert visit.page.title() == "mine: roster deliveries"
    assert all("Content Security Policy" in text for text in visit.said)
    visit.leave()


def test_a_compromised_host_is_text_and_no_command(desktop: Page, tmp_path: Path) -> None:
    results = fleets.results(1, 5)
    for name, changes in {
        "injected": {"feed": "feed-0100 ansible_ssh_common_args='-o ProxyCommand=id'"},
        "elsewhere": {"feed": "another"},
        "painted": {
            "remote_host": "<img src=x onerror=alert(1)>",
            "district": "\x1b]0;x\x07\u202e",
        },
    }.items():
        feed = fleets.feed(100, 5, "held") | changes
        told = {"report": json.dumps(fleets.report([feed])), "planned": ["feed-0100"]}
        results[name] = told
    rows = status.build_rows(fleets.hosts(results, Cache(tmp_path)), "inventories/mine")
    visit = Visit(desktop, write(rows, tmp_path))
    commands = []
    for opener in visit.page.locator(".open").all():
        opener.click()
        commands += visit.page.locator("dialog pre").all_inner_texts()
        visit.page.keyboard.press("Escape")
    assert len(column(visit.page, "district")) == 4
    digest = fleets.DIGEST
    assert {shlex.split(command)[5] for command in commands} == {"roster-0000", "painted"}
    for command in commands:
        values = json.loads(shlex.split(command)[7])
        assert values["roster_feed"] in ("feed-0000", "feed-0100")
        assert values["approve_digest"] == digest
    note = " ".join(column(visit.page, "note"))
    assert "report not understood: feeds[0].feed is not a feed's name" in note
    assert "\\x1b]0;x\\x07\\u202e" in " ".join(column(visit.page, "district"))
    visit.end()


def open_then(page: Page, path: Path, size: Any = DESKTOP) -> Page:
    """Open a page as if it were NOW, when it was written."""
    page.clock.set_fixed_time(NOW)
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size(size)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page


def test_the_pictures_of_the_documents_can_be_made(browser: Browser, tmp_path: Path) -> None:
    results = {}
    for number, district in enumerate(PICTURED):
        feed = fleets.feed(10 + number, NIGHTS, PICTURED_FATES.get(number, "sent"))
        feed |= {"district": district, "feed": district.lower().replace(" ", "-")}
        text = json.dumps(fleets.report([feed]))
        name = f"roster-{district.split()[0].lower()}"
        results[name] = {"report": text, "planned": [feed["feed"]]}
    rows = status.build_rows(fleets.hosts(results, Cache(tmp_path)), "inventories/mine")
    path = write(rows, tmp_path)
    for name, size in PICTURES.items():
        page = tab(browser, viewport=size, device_scale_factor=0.8)  # small files
        open_then(page, path, size)
        made = ROOT / name if os.environ.get("PICTURES") else tmp_path / Path(name).name
        made.parent.mkdir(exist_ok=True)
        page.screenshot(path=made, animations="disabled")
        assert set(column(page, "district")) == set(PICTURED)
        page.context.close()


# Texts that are cut off, and elements that reach out of the page.
CUT = """all => all.filter((e) => e.scrollWidth > e.clientWidth + 1
  || e.scrollHeight > e.clientHeight + 1 || e.getBoundingClientRect().right > innerWidth
).map((e) => e.className + ": " + e.textContent)"""
LONG = "the export breaks 2,000 rules and was not sent. " * 12 + "/srv/" + "x" * 200


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
def test_nothing_is_cut_at_either_width(timed: Page, tmp_path: Path, size: Any) -> None:
    feeds = [fleets.feed(20 + n, NIGHTS, "failed") for n in range(3)]
    feeds[0] |= {"district": "", "trouble": LONG, "time_zone": "America/Denver"}
    feeds[1] |= {"district": "Unified-School-District-of-" + "Very" * 20, "broken_at": 7}
    results = {"host-" + "long" * 12: {"report": json.dumps(fleets.report(feeds))}}
    rows = status.build_rows(fleets.hosts(results, Cache(tmp_path)), "")
    page = open_then(timed, write(rows, tmp_path), size)
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    cells = page.locator("#rows td, #rows .open, #rows .small, #rows .note span")
    assert cells.evaluate_all(CUT) == []
    assert LONG in " ".join(column(page, "note"))
    shown = page.locator("#rows tr").first.locator("td.note")
    rest = page.locator("#rows tr").first.locator("td:not(.note)")
    widest = max(rest.evaluate_all("all => all.map((e) => e.clientWidth)"))
    assert shown.evaluate("e => e.clientWidth") >= (2 * widest if size == DESKTOP else widest)
    assert re.search(r"\(00:\d\d\u00a0MST\)", " ".join(column(page, "next")))
    assert violations(page) == []
    page.emulate_media(media="print", color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(24, 33, 45)")


def test_the_first_day_has_no_empty_columns(timed: Page, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"nights": [], "last": None, "last_sent": None, "rehearsal": None}
    new = fleets.feed(20, 0) | nothing | {"configured": stamp(NOW)}
    results = {"host": {"report": json.dumps(fleets.report([new])), "planned": [new["feed"]]}}
    rows = status.build_rows(fleets.hosts(results, Cache(tmp_path)), "")
    page = open_then(timed, write(rows, tmp_path))
    assert page.eval_on_selector_all("#head th", "all => all.map(th => th.dataset.name)") == [
        "state", "district", "credential", "next", "note",
    ]  # fmt: skip
    assert column(page, "state") == [" New"]
    assert column(page, "note") == ["waits for its first night, the night of 24 to 25 November "]
    assert page.locator("header p").first.inner_text() == (
        "1 feed on 1 host. Written 2026-11-24 15:30 UTC"
    )
    assert violations(page) == []


def test_an_old_page_says_so(timed: Page, tmp_path: Path) -> None:
    """A page lacks a night from an hour after the latest deadline on. NOW is 15:30."""
    feeds = [fleets.feed(20, 3) | {"deadline": end} for end in ("09:00", "10:15")]
    feeds[1]["feed"] = "late"
    results = {"host": {"report": json.dumps(fleets.report(feeds)), "planned": ["late"]}}
    rows = status.build_rows(fleets.hosts(results, Cache(tmp_path)), "")
    page = open_then(timed, write(rows, tmp_path))
    for later, age, is_outdated in (
        (dt.timedelta(minutes=59), "", False),
        (dt.timedelta(hours=19, minutes=44), " (19 h ago)", False),
        (dt.timedelta(hours=19, minutes=46), " (19 h ago)", True),
        (dt.timedelta(days=3), " (3 days ago)", True),
    ):
        page.clock.set_fixed_time(NOW + later)
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert page.locator("#age").inner_text() == age
        assert page.locator("#outdated").is_visible() == is_outdated
        assert page.locator("#age.old").count() == is_outdated
    assert "Run status.yml again" in page.locator("#outdated").inner_text()
    assert "Written 2026-11-24 15:30 UTC" in page.locator("header").inner_text()
    assert violations(page) == []


def test_a_page_without_javascript_says_when_it_was_written(browser: Browser, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "Written 2026-11-24 15:30 UTC" in page.locator("header").inner_text()
    assert not page.locator("#outdated").is_visible()
    context.close()
