"""Who is who: the rules one by one, then for any world: no order matters, and a replay changes nothing."""

import random
from uuid import UUID, uuid5

from hypothesis import given, settings
from hypothesis import strategies as st

from boots_pipeline.knowledge.clients import Identity, identify
from boots_pipeline.knowledge.sources import Source
from boots_pipeline.providers.base import Document
from tests.knowledge.records import company, contact, deal

ORG = UUID("00000000-0000-4000-8000-000000000001")


def source(document: Document, name: str, provider: str = "hubspot") -> Source:
    return Source(
        id=uuid5(ORG, name),
        source_id=uuid5(ORG, provider),
        provider=provider,
        external_id=name,
        title=document.title,
        keys=document.client_keys,
        names_client=document.names_client,
        facts=document.facts,
        updated_at=document.source_updated_at,
    )


def customer(number: int, name: str, *hints: str) -> Source:
    record = company(number, name, *hints, provider="quickbooks", kind="customer")
    return source(record, f"q{number}", "quickbooks")


def firm(number: int, name: str, *hints: str, merged: tuple[int, ...] = ()) -> Source:
    return source(company(number, name, *hints, merged=merged), f"h{number}")


def clients_of(identity: Identity) -> list[set[str]]:
    return sorted(({record.external_id for record in records} for records in identity.records.values()), key=sorted)


def test_the_id_is_made_of_the_first_strong_key_and_remembered() -> None:
    identity = identify(ORG, [firm(512, "Bay Hotel", "domain:bay.example")], {})
    client_id = uuid5(ORG, "hubspot.company:512")
    assert list(identity.records) == [client_id]
    assert identity.new_keys == {"hubspot.company:512": client_id}


def file_about(*names: str) -> Source:
    keys = tuple(f"name:{name}" for name in names)
    return source(Document(title="Quote", content="…", client_keys=keys), "f1", "google_drive")


def test_a_name_leads_to_the_only_client_who_has_it() -> None:
    bay, cove = firm(1, "Bay Hotel Ltd"), firm(2, "Cove Hotel")
    identity = identify(ORG, [bay, cove, file_about("Quotes 2026", "The Bay Hotel")], {})
    (client_id,) = (each for each, records in identity.records.items() if records[0].external_id == "h1")
    assert identity.documents[file_about().id] == client_id


def test_a_name_of_two_clients_or_of_none_leads_nowhere() -> None:
    twins = [firm(1, "Bay Hotel"), firm(2, "Bay Hotel")]
    assert file_about().id not in identify(ORG, [*twins, file_about("Bay Hotel")], {}).documents
    assert file_about().id not in identify(ORG, [firm(1, "Abc"), file_about("Abc", "", "Bay")], {}).documents


def test_a_name_is_no_key_of_a_record() -> None:
    named = firm(1, "Bay Hotel", "name:Cove Hotel")
    assert identify(ORG, [named], {}).new_keys.keys() == {"hubspot.company:1"}


def test_two_records_of_one_provider_are_two_clients_whatever_they_share() -> None:
    twins = [firm(1, "Bay Hotel", "domain:bay.example"), firm(2, "Bay Hotel", "domain:bay.example")]
    assert clients_of(identify(ORG, twins, {})) == [{"h1"}, {"h2"}]


def test_what_the_provider_merged_is_one_client() -> None:
    merged = [firm(1, "Bay Hotel", merged=(7,)), firm(7, "Bay Hotel Ltd")]
    identity = identify(ORG, merged, {})
    assert clients_of(identity) == [{"h1", "h7"}]
    assert next(iter(identity.records.values()))[0].external_id == "h1"


def test_a_part_of_a_client_is_that_client_and_what_points_at_the_part_does_too() -> None:
    whole = customer(10, "Bay View Hotel")
    part = source(company(10, "Bay View Hotel / Bar", merged=(12,), provider="quickbooks", kind="customer"), "part")
    deeper = source(
        company(12, "Bay View Hotel / Bar / Counter", merged=(3,), provider="quickbooks", kind="customer"), "deeper"
    )
    invoice = source(Document("Invoice 7", "", client_keys=("quickbooks.customer:3",)), "invoice", "quickbooks")
    for world in ([deeper, part, whole, invoice], [invoice, whole, deeper, part]):
        identity = identify(ORG, world, {})
        ((client_id, records),) = identity.records.items()
        assert [record.title for record in records] == [whole.title, part.title, deeper.title]
        assert client_id == uuid5(ORG, "quickbooks.customer:10")
        assert identity.documents[invoice.id] == client_id
    # A part that became a client of its own leaves with what is its own.
    apart = identify(ORG, [whole, customer(12, "Bay View Bar"), deeper, invoice], identity.new_keys)
    assert apart.documents[invoice.id] == apart.documents[deeper.id] != client_id
    assert client_id in apart.records


def test_a_merge_keeps_the_survivor_and_its_id() -> None:
    before = identify(ORG, [firm(7, "Bay Hotel"), firm(512, "Bay Hotel Ltd")], {})
    after = identify(ORG, [firm(512, "Bay Hotel Ltd", merged=(7,))], before.new_keys)
    assert list(after.records) == [uuid5(ORG, "hubspot.company:512")]


def test_a_domain_that_each_side_has_once_joins() -> None:
    world = [firm(1, "Bay Hotel", "domain:bay.example"), customer(9, "J. Doe", "email:jane@bay.example")]
    assert clients_of(identify(ORG, world, {})) == [{"h1", "q9"}]


def test_a_domain_that_a_side_has_twice_joins_nothing() -> None:
    world = [
        firm(1, "Bay Hotel", "domain:bay.example"),
        firm(2, "Cliff Hotel", "domain:bay.example"),
        customer(9, "Moor Inn", "domain:bay.example"),
    ]
    assert clients_of(identify(ORG, world, {})) == [{"h1"}, {"h2"}, {"q9"}]


def test_free_mail_joins_nothing() -> None:
    world = [firm(1, "Bay Hotel", "email:bay@gmail.com"), customer(9, "Moor Inn", "email:moor@gmail.com")]
    assert clients_of(identify(ORG, world, {})) == [{"h1"}, {"q9"}]


def test_a_name_joins_unless_the_domains_differ() -> None:
    alike = [firm(1, "Bay View Hotel Ltd"), customer(9, "The Bay View Hotel, Limited", "domain:bay.example")]
    assert clients_of(identify(ORG, alike, {})) == [{"h1", "q9"}]
    apart = [firm(1, "Bay View Hotel", "domain:a.example"), customer(9, "Bay View Hotel", "domain:b.example")]
    assert clients_of(identify(ORG, apart, {})) == [{"h1"}, {"q9"}]


def test_a_name_that_a_side_has_twice_joins_nothing() -> None:
    world = [firm(1, "Bay Hotel"), firm(2, "Bay Hotel"), customer(9, "Bay Hotel")]
    assert len(identify(ORG, world, {}).records) == 3


def test_the_same_name_goes_before_one_that_is_alike() -> None:
    world = [
        firm(1, "Northern Community School of Music"),
        firm(2, "Northern Community Schools of Music"),
        customer(8, "Northern Community School of Music Ltd"),
        customer(9, "Northern Community Schools of Music Ltd"),
    ]
    assert clients_of(identify(ORG, world, {})) == [{"h1", "q8"}, {"h2", "q9"}]


def test_one_word_within_a_longer_name_is_not_the_name() -> None:
    assert len(identify(ORG, [firm(1, "Smith"), customer(9, "Smith Sons Builders")], {}).records) == 2


def test_numbered_branches_stay_apart() -> None:
    world = [firm(1, "Northern Community School 12"), customer(9, "Northern Community School 13")]
    assert len(identify(ORG, world, {}).records) == 2


def test_a_client_keeps_its_id_when_an_earlier_provider_is_connected_later() -> None:
    alone = identify(ORG, [customer(9, "Bay Hotel", "domain:bay.example")], {})
    both = identify(
        ORG,
        [customer(9, "Bay Hotel", "domain:bay.example"), firm(1, "Bay Hotel", "domain:bay.example")],
        alone.new_keys,
    )
    assert list(both.records) == list(alone.records)


def test_identity_outlives_the_evidence() -> None:
    first = identify(ORG, [firm(1, "Bay", "domain:bay.example"), customer(9, "JD", "domain:bay.example")], {})
    later = identify(ORG, [firm(1, "Bay", "domain:bay.example"), customer(9, "JD")], first.new_keys)
    assert clients_of(later) == [{"h1", "q9"}]


def test_what_was_claimed_through_a_merged_record_is_claimed_again() -> None:
    one, other = uuid5(ORG, "one"), uuid5(ORG, "other")
    world = [
        source(company(1, "Acme", "domain:a.example", provider="acme", kind="firm"), "a1", "acme"),
        firm(9, "Bay Hotel", "domain:a.example", merged=(7,)),
        customer(1, "JD"),
    ]
    known = {"acme.firm:1": one, "hubspot.company:7": other, "quickbooks.customer:1": other}
    first = identify(ORG, world, known)
    assert clients_of(first) == [{"a1", "h9", "q1"}]
    assert clients_of(identify(ORG, world, {**known, **first.new_keys})) == [{"a1", "h9", "q1"}]


def test_documents_point_by_strong_key_then_by_address_then_by_domain() -> None:
    bay, moor = firm(1, "Bay Hotel", "domain:bay.example"), firm(2, "Moor Inn", "domain:moor.example")
    world = [
        bay,
        moor,
        source(deal("Stair", 1, "GBP 100", "open"), "deal"),
        source(contact("Jo", "jo@gmail.com", "Owner", 2), "jo"),
        source(Document("Mail", "Hello", client_keys=("email:jo@gmail.com",)), "mail from jo", "gmail"),
        source(Document("Mail", "Hello", client_keys=("email:ann@elsewhere.example",)), "unknown host", "gmail"),
        source(Document("Mail", "Hello", client_keys=("email:ann@bay.example",)), "mail from bay", "gmail"),
        source(Document("Mail", "Hello", client_keys=("email:x@gmail.com",)), "mail from x", "gmail"),
        source(Document("Gone", "", client_keys=("hubspot.company:99",)), "deal of nobody"),
    ]
    identity = identify(ORG, world, {})
    about = {each.external_id: identity.documents.get(each.id) for each in world}
    bay_id, moor_id = uuid5(ORG, "hubspot.company:1"), uuid5(ORG, "hubspot.company:2")
    assert about == {
        "h1": bay_id,
        "h2": moor_id,
        "deal": bay_id,
        "jo": moor_id,
        "mail from jo": moor_id,
        "unknown host": None,
        "mail from bay": bay_id,
        "mail from x": None,
        "deal of nobody": None,
    }


def test_documents_of_a_merged_company_follow_it() -> None:
    world = [firm(1, "Bay Hotel", merged=(7,)), source(deal("Stair", 7, "GBP 1", "open"), "deal")]
    identity = identify(ORG, world, {})
    assert identity.documents[world[1].id] == uuid5(ORG, "hubspot.company:1")


NAMES = (
    "Bay View Hotel",
    "Bay View Hotel Ltd",
    "Moor Inn",
    "Smith",
    "Cliff House School 1",
    "Cliff House School 2",
    "",
)
HINTS = ("domain:a.example", "domain:b.example", "email:x@a.example", "email:y@gmail.com", "domain:c.example")


@st.composite
def worlds(draw: st.DrawFn) -> list[Source]:
    world: dict[str, Source] = {}
    for provider, kind in (("hubspot", "company"), ("quickbooks", "customer"), ("xero", "contact")):
        for number in draw(st.sets(st.integers(1, 6), max_size=4)):
            record = company(
                number,
                draw(st.sampled_from(NAMES)),
                *draw(st.lists(st.sampled_from(HINTS), max_size=2, unique=True)),
                merged=tuple(draw(st.sets(st.integers(1, 8), max_size=1))),
                provider=provider,
                kind=kind,
            )
            world[f"{provider}{number}"] = source(record, f"{provider}{number}", provider)
    for number in draw(st.sets(st.integers(1, 5), max_size=3)):
        keys = draw(st.lists(st.sampled_from((*HINTS, "hubspot.company:1", "xero.contact:8")), max_size=2))
        world[f"mail{number}"] = source(Document("Mail", "", client_keys=tuple(keys)), f"mail{number}", "gmail")
    return list(world.values())


def shape(identity: Identity) -> object:
    records = {client_id: [record.id for record in records] for client_id, records in identity.records.items()}
    return records, dict(identity.documents)


@settings(max_examples=100, deadline=None)
@given(before=worlds(), world=worlds(), seed=st.integers())
def test_no_order_matters_and_a_replay_changes_nothing(before: list[Source], world: list[Source], seed: int) -> None:
    known = dict(identify(ORG, before, {}).new_keys)
    identity = identify(ORG, world, known)

    shuffled = random.Random(seed).sample(world, len(world))
    assert shape(identify(ORG, shuffled, known)) == shape(identity)
    assert identify(ORG, shuffled, known).new_keys == identity.new_keys

    replayed = identify(ORG, world, {**known, **identity.new_keys})
    assert shape(replayed) == shape(identity)
    assert replayed.new_keys == {}


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_every_record_is_of_one_client_and_no_client_has_two_of_a_provider(world: list[Source]) -> None:
    identity = identify(ORG, world, {})
    records = [record.id for records in identity.records.values() for record in records]
    assert sorted(records) == sorted(each.id for each in world if each.names_client)
    for own in identity.records.values():
        for provider in {record.provider for record in own}:
            of_provider = [record for record in own if record.provider == provider]
            claimed = [set(record.own_keys) for record in of_provider]
            # Several records of one provider hang together by the keys that they claim.
            reached = claimed[0]
            for _ in claimed:
                reached = reached.union(*(keys for keys in claimed if keys & reached))
            assert all(keys <= reached for keys in claimed)
