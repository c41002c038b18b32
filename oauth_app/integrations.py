"""The settings page of the integrations, the same as JSON, and what its buttons do besides connecting and ending."""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from boots_pipeline.providers import PROVIDERS
from oauth_app.cards import cards_of
from oauth_app.connect import chosen, from_form, known_provider
from oauth_app.outcomes import Outcome, sentence_for
from oauth_app.services import services
from oauth_app.session import require_admin, require_person

integrations = Blueprint("integrations", __name__)

_CONNECTED = {
    "same": "{title} is connected again, to the same account. What was synced is kept, and everything is compared with "
    "it anew.",
    "other": "{title} is connected, to another account than before. What came from the other one is replaced when "
    "everything has been read.",
}
_ALONE = "{title} is connected. A sync of everything has been asked for."  # the first, or after all was deleted
_ASKED = "A sync of {title} has been asked for. The card shows how far it is."
_DISCONNECTED = {
    "kept": "{title} is disconnected. What was synced is kept.",
    "deleted": "{title} is disconnected, and what was synced is deleted. Client profiles follow within a minute.",
    "being": "{title} is disconnected. What was synced is being deleted; this goes on by itself.",
}


@integrations.get("/settings/integrations")
def show() -> ResponseReturnValue:
    """A card per provider, and how the last thing that was pressed ended."""
    person = require_person()
    cards = cards_of(person)
    asked = PROVIDERS.get(request.args.get("provider", ""))
    return render_template(
        "integrations.html",
        cards=cards,
        live=any(card.is_live for card in cards),
        done=_done(),
        cancelled=request.args.get("error") == Outcome.CANCELLED.flag,
        failed=sentence_for(request.args.get("error", ""), asked.title if asked else "the provider"),
    )


def _done() -> str | None:
    """A sentence of ours for a flag of the address bar, which is never shown itself."""
    connected = PROVIDERS.get(request.args.get("connected", ""))
    if connected:
        return _CONNECTED.get(request.args.get("account", ""), _ALONE).format(title=connected.title)
    synced = PROVIDERS.get(request.args.get("asked", ""))
    if synced:
        return _ASKED.format(title=synced.title)
    ended = PROVIDERS.get(request.args.get("disconnected", ""))
    sentence = _DISCONNECTED.get(request.args.get("data", ""))
    return sentence.format(title=ended.title) if ended and sentence else None


@integrations.get("/api/integrations")
def as_json() -> ResponseReturnValue:
    """The cards for programs, and for the page's own script."""
    return jsonify(integrations=[card.as_json() for card in cards_of(require_person())])


@integrations.post("/api/integrations/<name>/sync")
def sync(name: str) -> ResponseReturnValue:
    """Ask for a sync: what changed, or everything."""
    provider, person = known_provider(name), require_admin()
    kind = chosen("kind", {"delta": "what changed", "full": "everything"})
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        row = transaction.execute(
            "select private.request_sync(%s, %s, %s) as job_id", [person.org_id, provider.name, kind]
        ).fetchone()
    if from_form():
        return redirect(url_for("integrations.show", asked=provider.name), 303)
    return jsonify(job_id=row and row["job_id"]), 202


@integrations.post("/api/integrations/<name>/retry")
def retry(name: str) -> ResponseReturnValue:
    """Ask again for what was left out, however often that has failed."""
    provider, person = known_provider(name), require_admin()
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        row = transaction.execute(
            "select private.retry_left_out(%s, %s) as job_id", [person.org_id, provider.name]
        ).fetchone()
    if from_form():
        return redirect(url_for("integrations.show", asked=provider.name), 303)
    return jsonify(job_id=row and row["job_id"]), 202
