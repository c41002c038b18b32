"""Ending a connection: the page that tells beforehand what will go, and the request that does it.

State, live sync and secrets end in one transaction; the provider is told afterwards, as well as can be, and only when
no other connection lives on the same account. What was ingested is kept, or deleted: in batches, as far as a request's
time reaches; the pipeline finishes what is left.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from boots_pipeline.errors import BootsError, ConfigError
from boots_pipeline.providers.base import Provider
from oauth_app.authorisation import revoke
from oauth_app.cards import in_words
from oauth_app.connect import account_is_connected, chosen, from_form, known_provider
from oauth_app.services import services
from oauth_app.session import Person, require_admin

logger = logging.getLogger(__name__)
disconnecting = Blueprint("disconnecting", __name__)

_AT_ONCE = 1_000  # documents a transaction: 0.3 s here, of the 5 s that a statement of the pages may take
_SECONDS = 15  # as long as somebody waits for a page; the pipeline's sensor does what is left

# IN as a value and not as a condition is hashed whatever the statistics say. As joins, right after 50,000 documents had
# come into an empty table, they were planned as nested loops and took more than 5 s.
_AT_STAKE = """
with ours as materialized (
  select id, document_type, deleted_at from source_documents where org_id = %(org)s and source_id = %(source)s
), about as (
  select client_id, bool_and(ours) as ours_alone, bool_or(ours) as ours
    from (select client_id, document_id in (select id from ours) as ours
            from client_documents where org_id = %(org)s) documents
   group by client_id
), attributed as (
  select proposal_id, coalesce(evidence_document_id in (select id from ours), false)
                      or coalesce(source_document_id in (select id from ours), false) as ours
    from source_attribution where org_id = %(org)s
)
select (select coalesce(jsonb_object_agg(document_type, n), '{}')
          from (select document_type, count(*) as n from ours where deleted_at is null group by document_type) types
       ) as documents,
       (select count(*) from about where ours_alone) as clients_alone,
       (select count(*) from about where ours and not ours_alone) as clients_shared,
       (select count(*) from quarantined_items where org_id = %(org)s and source_id = %(source)s) as left_out,
       (select count(distinct proposal_id) from attributed where ours) as proposals
"""


@dataclass(frozen=True)
class AtStake:
    """What deleting would take away."""

    documents: dict[str, int]
    clients_alone: int  # known from nowhere else: their profiles end
    clients_shared: int  # their profiles lose what only this said
    left_out: int
    proposals: int  # their texts stay; what informed them will say that it is gone

    @property
    def documents_words(self) -> str:
        return in_words(dict(sorted(self.documents.items())))

    @property
    def anything(self) -> bool:
        return bool(self.documents or self.left_out)


@disconnecting.get("/settings/integrations/<name>/disconnect")
def ask(name: str) -> ResponseReturnValue:
    """What will go, and the choice."""
    provider, person = known_provider(name), require_admin()
    with services().database.user(person.user_id) as transaction:
        row = transaction.execute(
            """select id, status, coalesce(external_account_name, external_account_id) as account
                 from connected_sources where org_id = %s and provider = %s""",
            [person.org_id, provider.name],
        ).fetchone()
        if row is None:
            abort(404, f"{provider.title} is not connected.")
        transaction.execute("set local work_mem = '64MB'")  # for the hashes of a million documents
        stake = transaction.execute(_AT_STAKE, {"org": person.org_id, "source": row["id"]}).fetchone()
    assert stake is not None
    return render_template(
        "disconnect.html",
        provider=provider,
        mark="".join(letter for letter in provider.title if letter.isupper())[:2],
        account=row["account"],
        ended=row["status"] in ("revoked", "pending"),
        stake=AtStake(**stake),
    )


@disconnecting.post("/api/integrations/<name>/disconnect")
def disconnect(name: str) -> ResponseReturnValue:
    """End it. `data` is `keep` (unless told otherwise) or `delete`."""
    provider, person = known_provider(name), require_admin()
    data = chosen("data", {"keep": "what was synced stays", "delete": "it goes"})
    revoked = _end(provider, person, forget=data == "delete")
    deleted = data == "delete" and _forget(provider, person)
    became = {"keep": "kept", "delete": "deleted" if deleted else "being deleted"}[data]
    if from_form():
        return redirect(url_for("integrations.show", disconnected=provider.name, data=became.split()[0]), 303)
    return jsonify(status="revoked", revoked_at_provider=revoked, data=became)


def _end(provider: Provider, person: Person, *, forget: bool) -> bool:
    """Returns whether the provider confirmed that the grant is worth nothing any more."""
    refresh_token = None
    with services().database.user(person.user_id, org_id=person.org_id, as_authenticated=False) as transaction:
        # The pipeline may be renewing the token: the new one is what has to be given back, so this waits for it.
        transaction.execute("set local lock_timeout = '25s'")
        transaction.execute("set local statement_timeout = '30s'")
        held = transaction.execute(
            "select source_id, refresh_secret, account_id from private.connection_secrets(%s, %s)",
            [person.org_id, provider.name],
        ).fetchone()
        if held is None:
            abort(404, f"{provider.title} is not connected.")
        tokens = services().vault.for_connection(person.org_id, held["source_id"], transaction)
        if held["refresh_secret"] is not None:
            try:
                refresh_token = tokens.read_token(held["refresh_secret"], "refresh")
            except ConfigError:
                refresh_token = None  # it does not open: it can still be deleted
        named: list[Any] = [person.org_id, provider.name]
        transaction.execute("select private.disconnect_source(%s, %s)", named)
        if forget:
            transaction.execute("select private.ask_to_forget(%s, %s)", named)
        tokens.delete_tokens()
    # Asked when ours has ended, and as late as can be: revoking may end whoever is connected to that account by now.
    with services().database.connection() as connection:
        shared = account_is_connected(connection, provider, held["account_id"])
    return refresh_token is not None and not shared and revoke(provider, refresh_token, services().settings)


def _forget(provider: Provider, person: Person) -> bool:
    """Delete what was ingested, batch by batch; returns whether all of it is gone."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            with services().database.user(person.user_id, as_authenticated=False) as transaction:
                row = transaction.execute(
                    "select private.forget_ingested(%s, %s, %s) as more", [person.org_id, provider.name, _AT_ONCE]
                ).fetchone()
        except BootsError as error:
            # The mark stands: the pipeline goes on where this ended.
            logger.warning("deleting what %s brought is left to the pipeline: %s", provider.name, error)
            return False
        if row is None or not row["more"]:
            return True
    return False
