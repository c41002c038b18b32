"""Client names that no two clients of an organisation share. Pure, and the same in any order.

Where two share one, the domain follows in brackets; where that does not tell them apart either, the provider's id.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize
from uuid import UUID

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Naming:
    """What a client may be told by: its own name, its domains, its strong keys."""

    name: str
    domains: Sequence[str]
    keys: Sequence[str]


def unique_names(clients: Mapping[UUID, Naming]) -> dict[UUID, str]:
    """A name for each client, different from all the others'."""
    names = {client_id: _clean(naming.name) for client_id, naming in clients.items()}
    for told_by in (_first_domain, _first_key, lambda _, client_id: str(client_id)):
        shared = Counter(name.casefold() for name in names.values())
        names = {
            client_id: _told_apart(name, clients[client_id], told_by(clients[client_id], client_id))
            if shared[name.casefold()] > 1
            else name
            for client_id, name in names.items()
        }
    return names


def _clean(name: str) -> str:
    return " ".join(normalize("NFC", name).split())[:_LONGEST].strip() or "A client without a name"


def _told_apart(name: str, naming: Naming, by: str | None) -> str:
    return f"{_clean(naming.name)} ({by})" if by else name


def _first_domain(naming: Naming, _: UUID) -> str | None:
    return min(naming.domains, default=None)


def _first_key(naming: Naming, _: UUID) -> str:
    return naming.keys[0].replace(":", " ").replace(".", " ")
