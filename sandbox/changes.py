"""What happens from one day to the next: records come, change, are touched, renamed, merged and archived. What only one
provider holds changes in its twin (`Provider.advance`).

Each change carries a date after every date that existed before, so that a delta sees it. Whatever is archived
or swallowed by a merge is gone from the world: that is all that an outsider can know of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from sandbox import vocabulary as words
from sandbox.fiction import STAGES, Author, World, person
from sandbox.provider import Provider, Report
from sandbox.world import Company, Contact, Deal, Organization, Record, end_of, moment

TYPES = ("companies", "contacts", "deals")
KINDS = ("created", "changed", "bumped", "renamed", "relinked", "archived", "merged")
R = TypeVar("R", bound=Record)


def advance(
    world: World, providers: Sequence[Provider], days: int, seed: int | None = None
) -> dict[str, dict[str, Report]]:
    """Move the world on. Answers, per organisation, provider and type, which ids each kind of change touched."""
    reports: dict[str, dict[str, Report]] = {
        organization.slug: {provider.name: {} for provider in providers} for organization in world.organizations
    }
    for organization in world.organizations:
        reports[organization.slug]["hubspot"] = {kind: {change: [] for change in KINDS} for kind in TYPES}
    for _ in range(days):
        start = end_of(world.today)
        world.today += timedelta(days=1)
        for organization in world.organizations:
            chance = f"{world.seed if seed is None else seed}:{world.today}:{organization.slug}"
            report = reports[organization.slug]
            _Day(Random(chance), organization, start, report["hubspot"]).happen()  # noqa: S311 - a story, not a secret
            for provider in providers:
                own = Random(f"{chance}:{provider.name}")  # noqa: S311 - so that no story changes another
                _add(report[provider.name], provider.advance(organization, start, own))
    return reports


def _add(report: Report, day: Report) -> None:
    for kind, changes in day.items():
        for change, ids in changes.items():
            report.setdefault(kind, {}).setdefault(change, []).extend(ids)


@dataclass
class _Day:
    """One day of one organisation. A record is drawn for one change only, so that none hides another."""

    rng: Random
    organization: Organization
    start: datetime
    report: Report

    def __post_init__(self) -> None:
        self.author = Author(self.rng, self.organization)

    def happen(self) -> None:
        organization, before = self.organization, self._counts()
        self._companies(self._shuffled(organization.companies.values()))
        self._contacts(self._shuffled(organization.contacts.values()))
        self._deals(self._shuffled(organization.deals.values()))
        self._newcomers(*(then - now for then, now in zip(before, self._counts(), strict=True)))

    def _counts(self) -> tuple[int, int, int]:
        return len(self.organization.companies), len(self.organization.contacts), len(self.organization.deals)

    def _companies(self, pool: list[Company]) -> None:
        share = max(1, len(pool) // 50)
        for company in self._draw(pool, share):
            company.description = self._revised(company.description, company)
            self._touched("companies", "changed", company)
        for company in self._draw(pool, share):
            self._touched("companies", "bumped", company)
        for company in self._draw(pool, share):
            company.name = f"{company.name} ({self.rng.choice(('Holdings', 'Group', 'North', 'Reborn'))})"
            self._touched("companies", "renamed", company)
        for winner, loser in zip(self._draw(pool, 1), self._draw(pool, 1), strict=False):
            winner.merged_ids += [*loser.merged_ids, loser.id]
            self._gone("companies", loser, heir=winner)
        for company in self._draw(pool, max(1, share // 2)):
            self._gone("companies", company, heir=None)

    def _contacts(self, pool: list[Contact]) -> None:
        share = max(1, len(pool) // 50)
        for contact in self._draw(pool, share):
            employer = self.organization.companies.get(contact.company_id or 0)
            contact.notes = self._revised(contact.notes, employer)
            self._touched("contacts", "changed", contact)
        for contact in self._draw(pool, share):
            self._touched("contacts", "bumped", contact)
        for contact in self._draw(pool, share):
            _, contact.last_name = person(self.rng)
            self._touched("contacts", "renamed", contact)
        for winner, loser in zip(self._draw(pool, 1), self._draw(pool, 1), strict=False):
            winner.merged_ids += [*loser.merged_ids, loser.id]
            winner.extra_emails += [email for email in (loser.email, *loser.extra_emails) if email]
            self._gone("contacts", loser, heir=winner)
        for contact in self._draw(pool, max(1, share // 2)):
            self._gone("contacts", contact, heir=None)

    def _deals(self, pool: list[Deal]) -> None:
        share = max(1, len(pool) // 50)
        for deal in self._draw(pool, share):
            deal.stage = self.rng.choice([stage for stage in STAGES if stage != deal.stage])
            deal.amount = self.rng.randint(8, 900) * 250
            self._touched("deals", "changed", deal)
        for deal in self._draw(pool, share):
            self._touched("deals", "bumped", deal)
        for deal in self._draw(pool, share):
            deal.name = f"{deal.name}, phase {self.rng.randint(2, 9)}"
            self._touched("deals", "renamed", deal)
        for deal in self._draw(pool, max(1, share // 2)):
            self._gone("deals", deal, heir=None)

    def _newcomers(self, companies: int, contacts: int, deals: int) -> None:
        """As many as left, so that a world neither empties nor grows."""
        author = Author(self.rng, self.organization)  # a new one: the other remembers those who left
        created = {kind: self.report[kind]["created"] for kind in TYPES}
        created["companies"] += [author.company(*self._just_now()).id for _ in range(companies)]
        employers = list(self.organization.companies.values())
        for _ in range(contacts):
            contact = author.contact(self.rng.choice(employers), *self._just_now())
            created["contacts"].append(contact.id)
        for _ in range(deals):
            deal = author.deal(self.rng.choice(employers), *self._just_now())
            created["deals"].append(deal.id)

    def _gone(self, kind: str, record: Record, heir: Record | None) -> None:
        """Archived or, with an heir, merged into it. What pointed at it follows, and is dated anew."""
        if kind == "companies":
            self._relink_to(record.id, heir.id if heir else None)
        if kind == "contacts":
            self._replace_in_deals(record.id, heir.id if heir else None)
        del getattr(self.organization, kind)[record.id]
        if heir is None:
            self.organization.archived[kind][record.id] = (record, self.start + timedelta(days=1))
            self.report[kind]["archived"].append(record.id)
        else:
            heir.updated = self._moment()
            self.report[kind]["merged"].append({"winner": heir.id, "loser": record.id})

    def _relink_to(self, old: int, new: int | None) -> None:
        for contact in self.organization.contacts.values():
            if contact.company_id == old:
                contact.company_id = new
                self._touched("contacts", "relinked", contact)
        for deal in self.organization.deals.values():
            if deal.company_id == old:
                deal.company_id = new
                self._touched("deals", "relinked", deal)

    def _replace_in_deals(self, old: int, new: int | None) -> None:
        """Associations alone do not date a deal anew: that is one of the real system's traps."""
        for deal in self.organization.deals.values():
            if old in deal.contact_ids:
                others = {number for number in deal.contact_ids if number != old}
                deal.contact_ids = sorted(others if new is None else others | {new})

    def _revised(self, text: str | None, company: Company | None) -> str:
        revision = self.author.fill(self.rng.choice(words.REVISIONS), company)
        return f"{text} {revision}" if text else revision

    def _touched(self, kind: str, change: str, record: Record) -> None:
        record.updated = self._moment()
        self.report[kind][change].append(record.id)

    def _just_now(self) -> tuple[datetime, datetime]:
        """When a newcomer was created and last changed: the same moment."""
        now = self._moment()
        return now, now

    def _moment(self) -> datetime:
        return moment(self.rng, self.start, self.start + timedelta(days=1))

    def _shuffled(self, records: Iterable[R]) -> list[R]:
        """Those that nothing has happened to today, such as having been relinked."""
        pool = [record for record in records if record.updated <= self.start]
        self.rng.shuffle(pool)
        return pool

    @staticmethod
    def _draw(pool: list[R], number: int) -> list[R]:
        """Up to so many from the pool, which then no longer has them."""
        drawn, pool[:] = pool[:number], pool[number:]
        return drawn
