"""Records of a small world, as the providers' adapters make them."""

from datetime import UTC, datetime, timedelta

from boots_pipeline.providers.base import Document, Fact

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


def company(
    number: int,
    name: str,
    *hints: str,
    merged: tuple[int, ...] = (),
    provider: str = "hubspot",
    kind: str = "company",
    day: int = 0,
    facts: dict[str, str] | None = None,
) -> Document:
    as_of = MONDAY + timedelta(days=day)
    stated = facts or {"industry": "HOSPITALITY", "city": "Whitby", "country": "England"}
    return Document(
        title=name,
        content=f"{name}, a company\n\n" + "\n".join(f"{key}: {value}" for key, value in stated.items()),
        source_updated_at=as_of,
        client_keys=(
            f"{provider}.{kind}:{number}",
            *(f"{provider}.{kind}:{each}" for each in merged),
            *hints,
        ),
        names_client=True,
        facts=tuple(Fact(key, value, as_of) for key, value in stated.items()),
    )


def deal(name: str, company_number: int | None, amount: str, stage: str, day: int = 0, prose: str = "") -> Document:
    as_of = MONDAY + timedelta(days=day)
    told = f"{name}, {amount}, stage {stage}, closes 2026-12-24"
    return Document(
        title=name,
        content=f"{name}, a deal\n\ndeal: {told}\n\n{prose}".strip(),
        source_updated_at=as_of,
        client_keys=(f"hubspot.company:{company_number}",) if company_number else (),
        facts=(Fact("deal", told, as_of),),
    )


def contact(name: str, email: str, title: str, company_number: int | None, day: int = 0) -> Document:
    as_of = MONDAY + timedelta(days=day)
    told = f"{name}, {title}, {email}"
    return Document(
        title=name,
        content=f"{name}, a contact\n\ncontact: {told}",
        source_updated_at=as_of,
        client_keys=(
            *((f"hubspot.company:{company_number}",) if company_number else ()),
            f"email:{email}",
            f"domain:{email.partition('@')[2]}",
        ),
        facts=(Fact("contact", told, as_of),),
    )
