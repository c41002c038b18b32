"""Who is who: which records are one client, and which client a document is about. Pure, and the same in any order.

A record (a company, a customer) is a client. Two records of one provider are two clients, unless the provider merged
them; records of different providers are one where a domain, or a name, says so beyond doubt. What was once found is
remembered in the key → client map, and that is consulted first: identity outlives the evidence that made it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID, uuid5

from boots_pipeline.knowledge.alike import alike_names, plain_name, same_names
from boots_pipeline.knowledge.keys import domain, email, is_strong, name
from boots_pipeline.knowledge.sources import Source


@dataclass(frozen=True, slots=True)
class Identity:
    """The clients with their records (the primary one first), the client of each document, and the keys to remember."""

    records: Mapping[UUID, Sequence[Source]]
    documents: Mapping[UUID, UUID]
    new_keys: Mapping[str, UUID]


class _Group:
    """The records that a provider itself holds for one client: one, several that it merged, or one with its parts,
    which come after it: each names it first, then itself."""

    def __init__(self, records: Iterable[Source]) -> None:
        by_key = sorted(records, key=lambda record: (record.own_keys[0], len(record.own_keys), record.id))
        merged_away = {key for record in by_key for key in record.own_keys[1:]}
        self.records = sorted(by_key, key=lambda record: record.own_keys[0] in merged_away)
        self.keys = list(dict.fromkeys(key for record in self.records for key in record.own_keys))
        self.first_key = self.keys[0]
        self.provider = self.records[0].provider
        self.name = self.records[0].title
        self.domains = {found for record in self.records for found in record.domains}

    def contradicts(self, other: "_Group") -> bool:
        """Both name domains, and none in common."""
        return bool(self.domains and other.domains and self.domains.isdisjoint(other.domains))


class _Cluster:
    """The groups that are one client: at most one of each provider."""

    def __init__(self, group: _Group) -> None:
        self.groups = [group]

    def may_join(self, other: "_Cluster", *, by_name: bool) -> bool:
        """A name alone never joins what domains tell apart."""
        pairs = [(mine, theirs) for mine in self.groups for theirs in other.groups]
        return not any(
            mine.provider == theirs.provider or (by_name and mine.contradicts(theirs)) for mine, theirs in pairs
        )

    def in_order(self) -> list[_Group]:
        """Its groups, the primary one first."""
        return sorted(self.groups, key=lambda group: group.first_key)

    @property
    def keys(self) -> list[str]:
        """All strong keys, those of the primary group first."""
        return [key for group in self.in_order() for key in group.keys]


class _Clusters:
    """Groups being joined. Whether two may be only ever turns from yes to no, so a replay ends the same."""

    def __init__(self, groups: Sequence[_Group]) -> None:
        self._of = {group.first_key: _Cluster(group) for group in groups}

    def join(self, one: _Group, other: _Group, *, by_name: bool = False) -> None:
        mine, theirs = self._of[one.first_key], self._of[other.first_key]
        if mine is theirs or not mine.may_join(theirs, by_name=by_name):
            return
        mine.groups += theirs.groups
        for group in theirs.groups:
            self._of[group.first_key] = mine

    def all(self) -> list[_Cluster]:
        return sorted({id(cluster): cluster for cluster in self._of.values()}.values(), key=lambda c: c.keys[0])


def identify(org_id: UUID, sources: Iterable[Source], known: Mapping[str, UUID]) -> Identity:
    """Say who is who among an organisation's living documents; `known` is the key → client map so far."""
    everything = sorted(sources, key=lambda source: source.id)
    groups = _groups([source for source in everything if source.own_keys])
    clusters = _Clusters(groups)
    claims = _claims(org_id, groups, known)
    first: dict[UUID, _Group] = {}
    for group in groups:
        if group.first_key in claims:
            clusters.join(first.setdefault(claims[group.first_key], group), group)
    by_domain = list(_sharing_a_domain(groups))
    for one, other in by_domain:
        clusters.join(one, other)
    for one, other in _sharing_a_name(groups, by_domain):
        clusters.join(one, other, by_name=True)
    ids = _assign_ids(org_id, clusters.all(), claims)
    records = {
        client_id: [record for group in cluster.in_order() for record in group.records]
        for client_id, cluster in ids.items()
    }
    keys = {key: client_id for client_id, cluster in ids.items() for key in cluster.keys}
    new_keys = {
        key: claims.get(group.first_key, client_id)  # what a group claimed, it must claim again
        for client_id, cluster in ids.items()
        for group in cluster.groups
        for key in group.keys
        if key not in known
    }
    return Identity(records, _point(everything, records, keys, known), new_keys)


def _groups(records: Sequence[Source]) -> list[_Group]:
    """Records that share one of their own keys were merged by their provider."""
    leader: dict[str, str] = {}

    def lead(key: str) -> str:
        while leader.setdefault(key, key) != key:
            leader[key] = key = leader[leader[key]]
        return key

    for record in records:
        for key in record.own_keys:
            one, other = sorted((lead(record.own_keys[0]), lead(key)))
            leader[other] = one
    together: dict[str, list[Source]] = defaultdict(list)
    for record in records:
        together[lead(record.own_keys[0])].append(record)
    return sorted((_Group(records) for records in together.values()), key=lambda group: group.first_key)


def _claims(org_id: UUID, groups: Sequence[_Group], known: Mapping[str, UUID]) -> dict[str, UUID]:
    """The client that each group was found to be before, by its first key.

    Of the groups of one provider, only one may claim a client: one that goes by its own key rather than by that of a
    record merged into it, then the one that the client's id was made of.
    """
    claimants: dict[tuple[UUID, str], list[tuple[bool, bool, str]]] = defaultdict(list)
    for group in groups:
        remembered = next((known[key] for key in (group.first_key, *group.keys) if key in known), None)
        if remembered is not None:
            by_its_own = group.first_key in known
            made_of_it = uuid5(org_id, group.first_key) == remembered
            claimants[remembered, group.provider].append((not by_its_own, not made_of_it, group.first_key))
    return {min(each)[2]: client_id for (client_id, _), each in claimants.items()}


def _sharing_a_domain(groups: Sequence[_Group]) -> Iterator[tuple[_Group, _Group]]:
    """Groups of two providers, each the only one there with a domain."""
    holders: dict[str, dict[str, list[_Group]]] = defaultdict(lambda: defaultdict(list))
    for group in groups:
        for found in group.domains:
            holders[found][group.provider].append(group)
    for _, by_provider in sorted(holders.items()):
        only = [held[0] for _, held in sorted(by_provider.items()) if len(held) == 1]
        yield from combinations(only, 2)


def _sharing_a_name(
    groups: Sequence[_Group], by_domain: Sequence[tuple[_Group, _Group]]
) -> Iterator[tuple[_Group, _Group]]:
    """Groups of two providers, each the only one there of such a name; the same name first, then one alike."""
    matched = {(one.first_key, other.provider) for pair in by_domain for one, other in (pair, pair[::-1])}
    by_provider: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        by_provider[group.provider].append(group)
    for mine, theirs in combinations(sorted(by_provider), 2):
        left = [group for group in by_provider[mine] if (group.first_key, theirs) not in matched]
        right = [group for group in by_provider[theirs] if (group.first_key, mine) not in matched]
        exact = _unambiguous(left, right, same_names)
        yield from exact
        settled = {group.first_key for pair in exact for group in pair}
        yield from _unambiguous(
            [group for group in left if group.first_key not in settled],
            [group for group in right if group.first_key not in settled],
            alike_names,
        )


def _unambiguous(
    left: Sequence[_Group],
    right: Sequence[_Group],
    comparing: Callable[[Sequence[str], Sequence[str]], Iterable[tuple[int, int]]],
) -> list[tuple[_Group, _Group]]:
    """Groups whose names match one group's of the other side only, and whose domains do not tell them apart."""
    found = comparing([group.name for group in left], [group.name for group in right])
    pairs = [(left[i], right[j]) for i, j in found if not left[i].contradicts(right[j])]
    times = Counter(group.first_key for pair in pairs for group in pair)
    return [pair for pair in pairs if all(times[group.first_key] == 1 for group in pair)]


def _assign_ids(org_id: UUID, clusters: Sequence[_Cluster], claims: Mapping[str, UUID]) -> dict[UUID, _Cluster]:
    """The first claim; else an id made of the first strong key that has not given its own to another client."""
    taken: dict[UUID, _Cluster] = {}
    without: list[_Cluster] = []
    for cluster in clusters:
        claimed = [claims[group.first_key] for group in cluster.in_order() if group.first_key in claims]
        if claimed:
            taken[claimed[0]] = cluster
        else:
            without.append(cluster)
    for cluster in without:
        made = (uuid5(org_id, f"{key}{'' if not again else f'#{again}'}") for again in range(9) for key in cluster.keys)
        taken[next(each for each in made if each not in taken)] = cluster
    return taken


def _point(
    sources: Sequence[Source],
    records: Mapping[UUID, Sequence[Source]],
    keys: Mapping[str, UUID],
    known: Mapping[str, UUID],
) -> dict[UUID, UUID]:
    """Which client each document is about: by its strong keys, else by the one client whose address, domain or name it
    is; the hints in the document's own order."""
    found: dict[UUID, UUID] = {}
    for source in sources:
        for key in source.keys:
            client_id = (keys.get(key) or known.get(key)) if is_strong(key) else None
            if client_id is not None and client_id in records:
                found[source.id] = client_id
                break
    holders: dict[str, set[UUID]] = defaultdict(set)
    for client_id, own in records.items():
        for record in own:
            for each in (*record.domains, plain_name(record.title)):
                holders[each].add(client_id)
    for source in sources:
        if source.id in found:  # the addresses of a client's contacts lead to it too
            for key in source.keys:
                if address := email(key):
                    holders[address].add(found[source.id])
    for source in sources:
        if source.id not in found:
            hints = (hint for key in source.keys for hint in (email(key), domain(key), name(key)) if hint)
            only = (next(iter(holders[hint])) for hint in hints if len(holders.get(hint, ())) == 1)
            if (client_id := next(only, None)) is not None:
                found[source.id] = client_id
    return found
