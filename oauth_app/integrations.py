"""The settings page of the integrations, the same as JSON, and what its buttons do besides connecting."""

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from boots_pipeline.errors import ConfigError
from boots_pipeline.providers import PROVIDERS
from oauth_app.authorisation import revoke
from oauth_app.cards import cards_of
from oauth_app.connect import account_is_connected, from_form, known_provider
from oauth_app.outcomes import Outcome, sentence_for
from oauth_app.services import services
from oauth_app.session import require_admin, require_person

integrations = Blueprint("integrations", __name__)


@integrations.get("/settings/integrations")
def show() -> ResponseReturnValue:
    """A card per provider, and how the last attempt to connect ended."""
    person = require_person()
    cards = cards_of(person)
    connected = PROVIDERS.get(request.args.get("connected", ""))
    asked = PROVIDERS.get(request.args.get("provider", ""))
    return render_template(
        "integrations.html",
        cards=cards,
        live=any(card.is_live for card in cards),
        connected=f"{connected.title} is connected. Its first sync has been asked for." if connected else None,
        cancelled=request.args.get("error") == Outcome.CANCELLED.flag,
        failed=sentence_for(request.args.get("error", ""), asked.title if asked else "the provider"),
    )


@integrations.get("/api/integrations")
def as_json() -> ResponseReturnValue:
    """The cards for programs, and for the page's own script."""
    return jsonify(integrations=[card.as_json() for card in cards_of(require_person())])


@integrations.post("/api/integrations/<name>/sync")
def sync(name: str) -> ResponseReturnValue:
    """Ask for a sync: what changed, or everything."""
    provider, person = known_provider(name), require_admin()
    asked = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    kind = asked.get("kind", "delta") if isinstance(asked, dict) else "delta"
    if kind not in ("delta", "full"):
        abort(400, "A sync is either delta (what changed) or full (everything).")
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        row = transaction.execute(
            "select private.request_sync(%s, %s, %s) as job_id", [person.org_id, provider.name, kind]
        ).fetchone()
    if from_form():
        return redirect(url_for("integrations.show"), 303)
    return jsonify(job_id=row and row["job_id"]), 202


@integrations.post("/api/integrations/<name>/disconnect")
def disconnect(name: str) -> ResponseReturnValue:
    """End a connection: state and secrets in one transaction, the provider told afterwards, as well as can be, and
    only when no other connection lives on the same account."""
    provider, person = known_provider(name), require_admin()
    refresh_token = None
    with services().database.user(person.user_id, org_id=person.org_id, as_authenticated=False) as transaction:
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
        transaction.execute("select private.disconnect_source(%s, %s)", [person.org_id, provider.name])
        tokens.delete_tokens()
        shared = account_is_connected(transaction, provider, held["account_id"])  # by others: ours has ended
    revoked = refresh_token is not None and not shared and revoke(provider, refresh_token, services().settings)
    if from_form():
        return redirect(url_for("integrations.show"), 303)
    return jsonify(status="revoked", revoked_at_provider=revoked)
