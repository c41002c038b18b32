"""HubSpot's adapter: pure functions on the documented payloads, and listings against a server that plays tricks."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.errors import BadItem, BadPage
from boots_pipeline.ingestion.sanitise import clean
from boots_pipeline.providers import hubspot
from boots_pipeline.providers.base import Account, Page, nothing_known
from boots_pipeline.providers.hubspot import HUBSPOT, RemoteServer, _milliseconds
from boots_pipeline.providers.hubspot_records import MODIFIED, moment

REMOTE = RemoteServer()

COMPANY = {
    "id": "512",
    "properties": {
        "name": "Acme Ltd", "domain": "acme.test", "createdate": "2026-01-02T03:04:05.678Z",
        "hs_lastmodifieddate": "2026-11-01T10:00:00.123Z", "hs_object_id": "512", "annualrevenue": None,
        "hs_merged_object_ids": None,
    },
    "createdAt": "2026-01-02T03:04:05.678Z", "updatedAt": "2026-11-01T10:00:00.123Z", "archived": False,
    "associations": {"contacts": {"results": [{"id": "1", "type": "company_to_contact"}]}},
}  # fmt: skip
CONTACT = {
    "id": "1",
    "properties": {
        "email": "jane@acme.test", "firstname": "Jane", "lastname": None, "lastmodifieddate": "1793527200123",
        "associatedcompanyid": "512", "hs_additional_emails": "j.doe@acme.test;jd@other.test",
    },
}  # fmt: skip
DEAL = {
    "id": "9001",
    "properties": {
        "dealname": "Acme kitchen", "amount": "12500.00", "deal_currency_code": "GBP",
        "dealstage": "appointmentscheduled", "pipeline": "default", "closedate": "2026-12-01T00:00:00Z",
        "hs_primary_associated_company": "512", "hs_lastmodifieddate": "",
    },
}  # fmt: skip


def changed(record: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {**record, "properties": {**record["properties"], **properties}}


def test_a_company_is_a_client() -> None:
    document = HUBSPOT.document("companies", COMPANY)
    assert document.title == "Acme Ltd"
    assert document.names_client
    assert document.client_keys == ("hubspot.company:512", "domain:acme.test")
    assert document.source_updated_at == datetime(2026, 11, 1, 10, 0, 0, 123000, UTC)
    assert "annual" not in document.content  # null is not a fact
    assert document.absorbed == ()


def test_a_merged_company_keeps_the_keys_of_whom_it_swallowed() -> None:
    document = HUBSPOT.document(
        "companies", changed(COMPANY, hs_merged_object_ids="7; 8;", hs_additional_domains="ACME.example;")
    )
    assert document.absorbed == ("7", "8")
    assert document.client_keys == (
        "hubspot.company:512", "hubspot.company:7", "hubspot.company:8", "domain:acme.test", "domain:acme.example"
    )  # fmt: skip


def test_a_contact_points_at_its_company() -> None:
    document = HUBSPOT.document("contacts", CONTACT)
    assert document.title == "Jane"
    assert not document.names_client
    assert document.client_keys[0] == "hubspot.company:512"
    assert "email:jd@other.test" in document.client_keys
    assert document.source_updated_at == datetime(2026, 11, 1, 10, 0, 0, 123000, UTC)  # milliseconds in a string


def test_a_deal_says_what_it_is_worth() -> None:
    document = HUBSPOT.document("deals", DEAL)
    (fact,) = document.facts
    assert fact.value == "Acme kitchen, GBP 12,500, stage appointment scheduled, closes 2026-12-01"
    assert document.client_keys == ("hubspot.company:512",)
    assert document.source_updated_at is None


@pytest.mark.parametrize("stream", HUBSPOT.streams)
@pytest.mark.parametrize("blank", [None, "", "   "])
def test_a_record_without_any_value_is_still_a_document(stream: str, blank: str | None) -> None:
    properties = dict.fromkeys(hubspot._PROPERTIES[stream], blank)
    document = HUBSPOT.document(stream, {"id": "5", "properties": properties})
    assert document.title.endswith("5")
    assert document.content
    assert document.client_keys == (("hubspot.company:5",) if stream == "companies" else ())
    assert HUBSPOT.document(stream, {"id": "5", "properties": {}}) == document


@given(st.sampled_from(HUBSPOT.streams), st.data())
def test_no_property_can_break_it(stream: str, data: st.DataObject) -> None:
    values = (
        st.none() | st.text() | st.integers() | st.lists(st.text()) | st.sampled_from(["9" * 30, "0000-00-00", ";;"])
    )
    names = st.sampled_from(hubspot._PROPERTIES[stream])
    payload = {"id": "5", "properties": data.draw(st.dictionaries(names, values))}
    payload = clean("5", payload).payload
    document = HUBSPOT.document(stream, payload)
    assert document.title
    HUBSPOT.stable(stream, payload)


@pytest.mark.parametrize("stream", HUBSPOT.streams)
def test_a_date_that_moves_alone_is_no_change(stream: str) -> None:
    record = {"companies": COMPANY, "contacts": CONTACT, "deals": DEAL}[stream]
    bumped = changed(record, **{MODIFIED[stream]: "2026-11-22T00:00:00Z"}) | {"updatedAt": "later", "url": "x"}
    assert HUBSPOT.stable(stream, bumped) == HUBSPOT.stable(stream, {**record, "updatedAt": "now"})
    assert HUBSPOT.stable(stream, changed(record, description="other")) != HUBSPOT.stable(stream, record)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-10-01T00:00:00Z", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01T02:00:00+02:00", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01", datetime(2026, 10, 1, tzinfo=UTC)),
        ("1790812800000", datetime(2026, 10, 1, tzinfo=UTC)),
        *((bad, None) for bad in (None, "", 0, "0000-00-00", "10000-01-01", "9" * 25, "²", "0001-01-01T00:00+14:00")),
    ],
)
def test_dates_are_read_or_left_out(value: Any, expected: datetime | None) -> None:
    assert moment(value) == expected


@given(st.integers(0, 4_000_000_000_000))
def test_a_millisecond_is_the_same_there_and_back(moment: int) -> None:
    assert _milliseconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)) == moment


# Listings


class Portal:
    """A tiny HubSpot: records of one stream, as search_crm_objects lists them."""

    def __init__(self, dates: Mapping[int, int], cap: int = 200) -> None:
        self.dates, self.cap, self.calls = dict(dates), cap, 0

    account = None

    def has(self, tool: str) -> bool:
        return True

    def accepts(self, tool: str, argument: str) -> bool:
        return True

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        self.calls += 1
        assert self.calls < 2_000, "it never ends"
        assert tool == "search_crm_objects"
        assert arguments.get("offset", 0) + arguments["limit"] <= 10_000, "beyond the window"
        found = sorted(self.dates)
        (group,) = arguments.get("filterGroups", [{"filters": []}])
        for each in group["filters"]:
            bound = int(each["value"])
            test: Callable[[int], bool] = {"GT": bound.__lt__, "GTE": bound.__le__, "EQ": bound.__eq__}[
                each["operator"]
            ]
            by_id = each["propertyName"] == "hs_object_id"
            found = [one for one in found if test(one if by_id else self.dates[one])]
        if arguments["sorts"][0]["propertyName"] != "hs_object_id":
            found.sort(key=lambda one: (self.dates[one], one))
        page = found[: min(arguments["limit"], self.cap)]
        results = [{"id": str(one), "properties": {"hs_lastmodifieddate": str(self.dates[one])}} for one in page]
        return {"results": results, "total": len(found)} | ({"offset": len(page)} if len(page) < len(found) else {})


def listed(portal: Any, since: datetime | None = None, cursor: Any = None) -> list[Page]:
    async def read() -> list[Page]:
        return [
            page async for page in REMOTE.pages(portal, "companies", since=since, cursor=cursor, known=nothing_known)
        ]

    return asyncio.run(read())


def ids(pages: list[Page]) -> set[int]:
    return {int(item.external_id) for page in pages for item in page.items}


SINCE = datetime(2026, 11, 1, tzinfo=UTC)
START = _milliseconds(SINCE)


def test_more_than_ten_thousand_changes_of_one_moment_are_all_listed() -> None:
    portal = Portal(
        dict.fromkeys(range(1, 10901), START + 5) | dict.fromkeys(range(20000, 20010), START + 9) | {1: START - 1}
    )
    pages = listed(portal, SINCE)
    assert ids(pages) == set(portal.dates) - {1}
    assert portal.calls < 70
    assert pages[-1].cursor is None
    assert pages[0].total == 10_909


@pytest.mark.parametrize("since", [None, SINCE])
@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400, 1000])
def test_every_size_of_listing_ends(since: datetime | None, count: int) -> None:
    portal = Portal({n: START + n // 7 for n in range(1, count + 1)})
    assert ids(listed(portal, since)) == set(portal.dates)


@pytest.mark.parametrize("since", [None, SINCE])
def test_a_server_with_smaller_pages_is_read_to_its_end(since: datetime | None) -> None:
    portal = Portal({n: START + n // 70 for n in range(1, 400)}, cap=50)
    assert ids(listed(portal, since)) == set(portal.dates)


@pytest.mark.parametrize("since", [None, SINCE])
def test_a_listing_goes_on_from_any_of_its_cursors(since: datetime | None) -> None:
    portal = Portal({n: START + n // 450 for n in range(1, 1_000)})
    pages = listed(portal, since)
    for n, page in enumerate(pages[:-1]):
        assert ids(pages[: n + 1]) | ids(listed(portal, since, page.cursor)) == set(portal.dates)


@pytest.mark.parametrize("since", [None, SINCE])
def test_what_goes_away_meanwhile_hides_nobody(since: datetime | None) -> None:
    portal = Portal({n: START + n for n in range(1, 601)})
    met: set[int] = set()

    async def read() -> None:
        async for page in REMOTE.pages(portal, "companies", since=since, cursor=None, known=nothing_known):
            met.update(int(item.external_id) for item in page.items)
            portal.dates.pop(min(portal.dates))

    asyncio.run(read())
    assert set(portal.dates) <= met


@pytest.mark.parametrize("since", [None, SINCE])
def test_a_listing_that_stands_still_is_no_listing(since: datetime | None) -> None:
    class Stuck(Portal):
        async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
            return await super().call(tool, {**arguments, "filterGroups": [{"filters": []}]})

    with pytest.raises(BadPage, match="does not move forward"):
        listed(Stuck({n: START - 10 if since else n for n in range(1, 401)}), since)


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"results": None}, {"results": {}}])
def test_an_answer_without_a_list_is_a_bad_page(answer: Any) -> None:
    class Odd(Portal):
        async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
            return answer

    with pytest.raises(BadPage):
        listed(Odd({}))


def test_records_that_are_none_are_named_and_the_rest_is_kept() -> None:
    class Odd(Portal):
        async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
            odd = [None, 7, {}, {"id": "x"}, {"id": "²"}, {"id": "9" * 5_000}, {"id": True}, {"id": "3"}, COMPANY]
            return {"results": odd, "total": "many", "urlTemplate": "https://hubspot.test/{id}"}

    (page,) = listed(Odd({}))
    assert ids([page]) == {512}
    assert page.items[0].payload["url"] == "https://hubspot.test/512"
    assert page.total is None
    assert len({each.external_id for each in page.rejected}) == len(page.rejected) == 8
    assert page.rejected[-1].external_id == "3"


# Who and what


class Answers(Portal):
    """A HubSpot that answers everything alike."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        return self.answer


def test_the_account_and_what_it_opens() -> None:
    details = {"user": {"hubId": 7}, "objectTypeAvailability": {"COMPANIES": "AVAILABLE", "DEAL": "REQUIRES_OPTIN"}}
    assert asyncio.run(REMOTE.identify(Answers(details))) == Account(
        "7", unavailable={"deals": "an admin of the HubSpot account must opt in first"}
    )
    assert HUBSPOT.account_of({"hub_id": 7}, {}) == Account("7")
    assert HUBSPOT.account_of({}, {}) is None


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"hubId": None}])
def test_an_account_that_is_not_told_is_not_guessed(answer: Any) -> None:
    with pytest.raises(BadPage):
        asyncio.run(REMOTE.identify(Answers(answer)))


@pytest.mark.parametrize("told", ["Call 555 MARKER", "available", 7, None, ["REQUIRES_OPTIN"], {"a": 1}])
def test_why_something_is_closed_is_never_told_in_the_providers_words(told: Any) -> None:
    account = asyncio.run(REMOTE.identify(Answers({"hubId": 7, "objectTypeAvailability": {"deals": told}})))
    assert account.unavailable == {"deals": "not available"}


def test_availability_in_another_shape_closes_nothing() -> None:
    assert asyncio.run(REMOTE.identify(Answers({"hubId": 7, "availability": ["x"]}))) == Account("7")


@pytest.mark.parametrize(
    "answer", [None, [], "text", {"results": None}, [{"id": "6"}], [{"id": "512", "archived": True}]]
)
def test_a_record_that_is_gone_is_none(answer: Any) -> None:
    assert asyncio.run(REMOTE.read(Answers(answer), "companies", "512")) is None


def test_a_record_is_read_with_either_kind_of_id() -> None:
    for answer in ([COMPANY], {"results": [COMPANY]}, [{**COMPANY, "id": 512}]):
        item = asyncio.run(REMOTE.read(Answers(answer), "companies", "512"))
        assert item is not None
        assert item.external_id == "512"


@pytest.mark.parametrize("external_id", ["", "without an id: 3 after None", "9" * 5000, "-1"])
def test_what_has_no_id_cannot_be_asked_for(external_id: str) -> None:
    with pytest.raises(BadItem):
        asyncio.run(REMOTE.read(Answers([]), "companies", external_id))


def test_a_record_gone_bad_is_refused_in_words() -> None:
    with pytest.raises(BadItem, match="properties"):
        asyncio.run(REMOTE.read(Answers([{"id": "512", "properties": "no"}]), "companies", "512"))


@pytest.mark.parametrize(
    ("amount", "written"),
    [("57250.5", "57,250.50"), ("0", "0"), ("about 9", "about 9"), ("1e999999", "1e999999"), ("NaN", "NaN")],
)
def test_money_is_written_as_people_write_it(amount: str, written: str) -> None:
    payload = {"id": "1", "properties": {"dealname": "Kitchen", "amount": amount, "dealstage": "4711"}}
    assert HUBSPOT.document("deals", payload).facts[0].value == f"Kitchen, {written}, stage 4711"
