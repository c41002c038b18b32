"""A new vault key: every token's data key is sealed with it, in small transactions, while syncs go on.

It can be cut short and run again, and two may run at once. The tokens themselves are not opened.
"""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault


def rotate(database: Database, vault: EnvelopeVault, org_ids: Iterable[UUID]) -> tuple[int, Counter[str]]:
    """Seal with the primary key what another one sealed. Returns how many tokens that were, and how many tokens each
    key opens now: one that opens none may be taken out of VAULT_KEYS.

    Raises ConfigError when a token's key is not in the ring.
    """
    sealed = 0
    in_use: Counter[str] = Counter()
    for org_id in org_ids:
        rewrapped = True
        while rewrapped:
            with database.organisation(org_id) as transaction:
                rewrapped = bool(batch := vault.rewrap(org_id, transaction))
            sealed += batch
        with database.organisation(org_id) as transaction:
            in_use.update(vault.keys_in_use(org_id, transaction))
    return sealed, in_use
