"""The world: organisations, their users, their clients, and the day it is there.

Neutral on purpose: these are the companies, persons and projects that *exist*. How a provider shows them
(names of properties, ids as strings, what is hidden) belongs in that provider's twin, so that several twins
can show one client in different ways. There is no wall clock: the same seed is the same world on any day.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Literal

Role = Literal["admin", "member"]
FIRST_DAY = date(2026, 11, 20)
FIRST_IDS = {"companies": 20_100_000_001, "contacts": 30_100_000_001, "deals": 40_100_000_001}


@dataclass(frozen=True)
class User:
    """A person who works at one of our own customers."""

    id: str
    email: str
    name: str
    role: Role


@dataclass(eq=False, kw_only=True)
class Record:
    """What every kind of record has. Compared by identity, so that twins can cache what they make of it."""

    id: int
    created: datetime
    updated: datetime
    owner: str | None = None  # the user's e-mail address
    merged_ids: list[int] = field(default_factory=list)  # the records that this one has swallowed


@dataclass(eq=False, kw_only=True)
class Company(Record):
    """A client of the organisation."""

    name: str
    domain: str | None
    industry: str
    city: str | None
    country: str
    currency: str
    employees: int
    revenue: int | None
    phone: str | None
    description: str | None
    lifecycle: str
    extra_domains: list[str] = field(default_factory=list)


@dataclass(eq=False, kw_only=True)
class Contact(Record):
    """A person at a client, or one whose employer nobody has noted."""

    first_name: str | None
    last_name: str | None
    title: str | None
    email: str | None
    phone: str | None
    company_id: int | None
    employer: str | None  # as somebody typed it once: not a link, and not kept up to date
    notes: str | None
    lifecycle: str
    extra_emails: list[str] = field(default_factory=list)


@dataclass(eq=False, kw_only=True)
class Deal(Record):
    """A piece of work that a client may order."""

    name: str
    amount: int | None
    currency: str
    stage: str
    closes: date | str | None  # as text where no calendar has it
    company_id: int | None
    contact_ids: list[int]
    description: str | None


@dataclass(eq=False)
class Organization:
    """One of our own customers, with everything that it knows about its clients."""

    slug: str
    name: str
    trade: str
    users: list[User]
    companies: dict[int, Company] = field(default_factory=dict)
    contacts: dict[int, Contact] = field(default_factory=dict)
    deals: dict[int, Deal] = field(default_factory=dict)
    archived: dict[str, dict[int, tuple[Record, datetime]]] = field(
        default_factory=lambda: {kind: {} for kind in FIRST_IDS}
    )  # what was put away, and when: gone, but for who asks for it
    _next_ids: dict[str, int] = field(default_factory=lambda: dict(FIRST_IDS))

    def new_id(self, kind: str, rng: Random) -> int:
        """Never used before or after. Organisations count from the same start, so they share some ids."""
        number = self._next_ids[kind]
        self._next_ids[kind] = number + rng.randint(1, 9)
        return number

    @property
    def admin(self) -> User:
        return next(user for user in self.users if user.role == "admin")


@dataclass(frozen=True)
class Size:
    """How much of everything, per organisation."""

    organizations: int
    companies: int
    contacts: int
    deals: int

    def times(self, scale: int) -> "Size":
        return Size(self.organizations, self.companies * scale, self.contacts * scale, self.deals * scale)


SIZES = {
    "demo": Size(2, 200, 600, 400),
    "small": Size(2, 20, 60, 40),
    "large": Size(1, 4_000, 12_000, 8_000),  # more contacts than one HubSpot query can show
    "huge": Size(1, 5_000, 30_000, 15_000),  # 50,000 records in one account
}

CUSTOMERS = (
    ("harbour-joinery", "Harbour Joinery", "joinery"),
    ("meridian-signage", "Meridian Signage", "signage"),
)
ROLES: tuple[Role, ...] = ("admin", "member")


def end_of(day: date) -> datetime:
    """Work stops at six: whatever happened on a day happened before this moment."""
    return datetime.combine(day, time(18), tzinfo=UTC)


def moment(rng: Random, start: datetime, end: datetime) -> datetime:
    """A moment in (start, end], to the millisecond, as the providers keep time."""
    return start + timedelta(milliseconds=rng.randint(1, int((end - start).total_seconds() * 1000)))


def make_users(slug: str, names: list[str], seed: int) -> list[User]:
    return [
        User(
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{seed}:{slug}:{role}")),
            email=f"{role}@{slug}.example",
            name=name,
            role=role,
        )
        for role, name in zip(ROLES, names, strict=True)
    ]
