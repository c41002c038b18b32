"""Which client a brief means."""

from uuid import UUID

from boots_pipeline.agents.client_meant import Candidate, Meant, client_meant

BAY = Candidate(UUID(int=1), "Bay View Hotel", ("Bayview Hotels Ltd",), ("bay.example",))
MOOR = Candidate(UUID(int=2), "Moor Inn", (), ("moor.example",))
BAY_TOO = Candidate(UUID(int=3), "Bay View Hotel (other.example)", (), ("other.example",))
ALL = [MOOR, BAY]


def test_the_one_that_is_named() -> None:
    for brief in (
        "A stair for Bay View Hotel.",
        "A stair for the BAY VIEW HOTEL, Ltd",
        "Bayview Hotels want a stair",
        "a stair for jane@bay.example",
        "Bay Veiw Hotel wants a stair",
    ):
        assert client_meant(brief, ALL, {MOOR.client_id: 0.9}) == Meant(BAY.client_id, None), brief


def test_the_longer_name_is_meant() -> None:
    bay = Candidate(UUID(int=4), "Bay", (), ())
    assert client_meant("For Bay View Hotel", [bay, BAY], {}) == Meant(BAY.client_id, None)


def test_of_two_with_one_name_the_closer_with_a_note() -> None:
    meant = client_meant("For Bay View Hotel", [BAY, BAY_TOO], {BAY_TOO.client_id: 0.4})
    assert meant is not None
    assert meant.client_id == BAY_TOO.client_id
    assert meant.note is not None
    assert "2 clients have this name" in meant.note


def test_without_a_name_the_closest_by_far_with_a_note() -> None:
    meant = client_meant("A stair", ALL, {BAY.client_id: 0.7, MOOR.client_id: 0.2})
    assert meant is not None
    assert meant.client_id == BAY.client_id
    assert meant.note is not None
    assert "names no client" in meant.note


def test_nobody_when_none_is_close_or_two_are() -> None:
    assert client_meant("A stair", ALL, {BAY.client_id: 0.3}) is None
    assert client_meant("A stair", ALL, {BAY.client_id: 0.7, MOOR.client_id: 0.69}) is None
    assert client_meant("A stair", [], {}) is None


def test_a_domain_within_another_is_not_it() -> None:
    assert client_meant("see notbay.example and moor.example.org", ALL, {}) is None
