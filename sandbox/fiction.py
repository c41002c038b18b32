"""How the world is written: vocabulary in, companies, contacts and deals out.

`Author` writes one record at a time for one organisation; `generate` writes a whole world from a seed.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sandbox import vocabulary as words
from sandbox.awkward import plant_awkward_companies, plant_awkward_contacts, plant_awkward_deals
from sandbox.industries import INDUSTRIES, Industry
from sandbox.world import (
    CUSTOMERS,
    FIRST_DAY,
    Company,
    Contact,
    Deal,
    Organization,
    Size,
    end_of,
    make_users,
    moment,
)

STAGES = (
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
    "closedwon",
    "closedlost",
)
LIFECYCLES = ("lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
BY_CODE = {industry.code: industry for industry in INDUSTRIES}
FALLBACK_INDUSTRY = INDUSTRIES[0]
IMPORTED = end_of(FIRST_DAY) - timedelta(days=30, hours=9)
"""When a spreadsheet of contacts was imported: they all carry this one date, more than fit on a page."""


def slugified(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isascii() and letter.isalnum())


def person(rng: Random) -> tuple[str, str]:
    return rng.choice(words.FIRST_NAMES), rng.choice(words.SURNAME_STARTS) + rng.choice(words.SURNAME_ENDINGS)


def telephone(rng: Random) -> str:
    return f"+44 1632 960{rng.randint(0, 999):03d}"


@dataclass
class Author:
    """Writes records into one organisation, with one stream of chance."""

    rng: Random
    organization: Organization

    def __post_init__(self) -> None:
        self._taken_domains = {company.domain for company in self.organization.companies.values()}
        self._staff: dict[int | None, list[int]] = defaultdict(list)
        for contact in self.organization.contacts.values():
            self._staff[contact.company_id].append(contact.id)

    def company(self, created: datetime, updated: datetime) -> Company:
        rng = self.rng
        industry = rng.choice(INDUSTRIES)
        country, currency = rng.choice(words.COUNTRIES)
        name, domain = self._unused_name(industry)
        company = Company(
            id=self.organization.new_id("companies", rng),
            created=created,
            updated=updated,
            owner=self._owner(),
            name=name,
            domain=domain,
            industry=industry.code,
            city=self._town(),
            country=country,
            currency=currency,
            employees=rng.choice((4, 9, 15, 28, 60, 140, 420)),
            revenue=rng.choice((None, rng.randint(2, 900) * 10_000)),
            phone=rng.choice((telephone(rng), None)),
            description=None,
            lifecycle=rng.choice(LIFECYCLES),
        )
        company.description = self.describe(company)
        self.organization.companies[company.id] = company
        return company

    def contact(self, company: Company | None, created: datetime, updated: datetime) -> Contact:
        rng = self.rng
        first, last = person(rng)
        host = company.domain if company and company.domain else "post.example"
        contact = Contact(
            id=self.organization.new_id("contacts", rng),
            created=created,
            updated=updated,
            owner=self._owner(),
            first_name=first,
            last_name=last,
            title=rng.choice(self._industry(company).titles),
            email=f"{slugified(first)}.{slugified(last)}@{host}",
            phone=rng.choice((telephone(rng), None)),
            company_id=company.id if company else None,
            employer=company.name if company else None,
            notes=None,
            lifecycle=rng.choice(LIFECYCLES),
        )
        if rng.random() < 0.6:
            contact.notes = self.fill(rng.choice(words.NOTES), company)
        self.organization.contacts[contact.id] = contact
        self._staff[contact.company_id].append(contact.id)
        return contact

    def deal(self, company: Company | None, created: datetime, updated: datetime) -> Deal:
        rng = self.rng
        work = self.work(company)
        deal = Deal(
            id=self.organization.new_id("deals", rng),
            created=created,
            updated=updated,
            owner=self._owner(),
            name=f"{company.name}: {work}" if company else work[0].upper() + work[1:],
            amount=rng.randint(8, 900) * 250,
            currency=company.currency if company else "GBP",
            stage=rng.choice(STAGES),
            closes=(updated + timedelta(days=rng.randint(-60, 200))).date(),
            company_id=company.id if company else None,
            contact_ids=self._contacts_of(company),
            description=self.fill(rng.choice(words.BRIEFS), company, work),
        )
        self.organization.deals[deal.id] = deal
        return deal

    def describe(self, company: Company) -> str:
        """Three or four sentences: what they do, what they care about, what they plan, how they deal."""
        sentences = [
            self.rng.choice(words.OPENINGS),
            self.rng.choice(words.CARES),
            self.rng.choice(words.PLANS),
        ]
        if self.rng.random() < 0.4:
            sentences.append(self.rng.choice(words.HISTORY))
        return " ".join(self.fill(sentence, company) for sentence in sentences)

    def work(self, company: Company | None) -> str:
        """A piece of work of our customer's trade, at a place that such a client has."""
        trade = words.TRADES[self.organization.trade]
        return self.rng.choice(trade.works).format(place=self.rng.choice(self._industry(company).places))

    def fill(self, sentence: str, company: Company | None, work: str | None = None) -> str:
        rng, industry, trade = self.rng, self._industry(company), words.TRADES[self.organization.trade]
        return sentence.format(
            name=company.name if company else "A private client",
            city=(company and company.city) or "town",
            does=rng.choice(industry.does),
            cares=rng.choice(industry.cares),
            work=work or self.work(company),
            timing=rng.choice(words.TIMINGS),
            scope=rng.choice(trade.scopes),
            constraint=rng.choice(trade.constraints),
        )

    def _industry(self, company: Company | None) -> Industry:
        return BY_CODE[company.industry] if company else FALLBACK_INDUSTRY

    def _owner(self) -> str | None:
        return self.rng.choice((*(user.email for user in self.organization.users), None))

    def _town(self) -> str:
        return self.rng.choice(words.TOWN_STEMS) + self.rng.choice(words.TOWN_ENDINGS)

    def _contacts_of(self, company: Company | None) -> list[int]:
        if company is None:
            return []
        known = self._staff[company.id]
        return sorted(self.rng.sample(known, min(len(known), self.rng.randint(0, 2))))

    def _unused_name(self, industry: Industry) -> tuple[str, str]:
        """A name and its domain. In a large world the good names run out, and a number makes them new."""
        name = f"{self._town()} {self.rng.choice(industry.nouns)}"
        number = 1
        while (domain := f"{slugified(name)}{number if number > 1 else ''}.example") in self._taken_domains:
            number += 1
        self._taken_domains.add(domain)
        return (name if number == 1 else f"{name} No. {number}"), domain


def write_organization(rng: Random, organization: Organization, size: Size) -> None:
    author, now = Author(rng, organization), end_of(FIRST_DAY)
    opened = now - timedelta(days=900)

    def dates() -> tuple[datetime, datetime]:
        created = moment(rng, opened, now - timedelta(days=1))
        return created, moment(rng, created, now)

    companies = [author.company(*dates()) for _ in range(size.companies)]
    plant_awkward_companies(organization)
    for number in range(size.contacts):
        imported = number % 5 < 2
        author.contact(rng.choice(companies), *((IMPORTED, IMPORTED) if imported else dates()))
    plant_awkward_contacts(organization)
    for _ in range(size.deals):
        author.deal(rng.choice(companies), *dates())
    plant_awkward_deals(organization)


def generate(seed: int, size: Size) -> list[Organization]:
    """The organisations of a world. Each has its own stream of chance: one does not depend on the other."""
    organizations = []
    for slug, name, trade in CUSTOMERS[: size.organizations]:
        rng = Random(f"{seed}:{slug}")  # noqa: S311 - a story, not a secret
        users = make_users(slug, [" ".join(person(rng)) for _ in range(2)], seed)
        organization = Organization(slug, name, trade, users)
        write_organization(rng, organization, size)
        organizations.append(organization)
    return organizations


class World:
    """The organisations and the day. `reset` is the first day again; `changes.advance` is the next one."""

    def __init__(self, seed: int, size: Size) -> None:
        self.seed, self.size = seed, size
        self.reset()

    def reset(self) -> None:
        self.today = FIRST_DAY
        self.organizations = generate(self.seed, self.size)

    def organization(self, slug: str) -> Organization:
        return next(organization for organization in self.organizations if organization.slug == slug)
