"""Connecting a provider and coming back: `POST …/connect` and `GET …/callback`.

The callback runs in three steps: the one-time state is consumed and committed; the code is exchanged with no database
connection held; one transaction keeps the secrets and makes the connection active. What fails leaves nothing half made.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from boots_pipeline.errors import BootsError
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.database import Connection
from boots_pipeline.settings import provider_settings
from oauth_app.authorisation import Grant, authorisation_url, exchange, redirect_uri, revoke
from oauth_app.connections import is_being_forgotten
from oauth_app.outcomes import Outcome, Refused
from oauth_app.services import services
from oauth_app.session import Person, require_admin, signed_in
from oauth_app.verifier import open_verifier, seal_verifier

logger = logging.getLogger(__name__)
connect = Blueprint("connect", __name__, url_prefix="/api/integrations")

_COOKIE_LIFE = 600
_LONGEST_PARAMETER = 4096
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


@dataclass(frozen=True)
class Started:
    """A connection under way, as it was when it began."""

    org_id: UUID
    source_id: UUID
    user_id: UUID
    provider: str
    browser_hash: bytes
    verifier: bytes
    issuer: str
    redirect_uri: str


def known_provider(name: str) -> Provider:
    """The provider of a path, or 404 with a sentence."""
    provider = PROVIDERS.get(name)
    if provider is None:
        abort(404, f"There is no provider {name[:40]!r}. Known: {', '.join(sorted(PROVIDERS))}.")
    return provider


def from_form() -> bool:
    """Whether a form asks, which wants a page next, and not a program, which wants JSON."""
    return request.mimetype in _FORMS


def chosen(name: str, choices: Mapping[str, str]) -> str:
    """What a form, or a program, chose; the first unless it says. 400 for what is no choice, with what there is."""
    asked = request.get_json(silent=True) if request.is_json and request.get_data() else request.form.to_dict()
    if not isinstance(asked, dict):
        abort(400, "The body is to be a JSON object.")
    choice = asked.get(name)
    choice = next(iter(choices)) if choice is None else choice
    if not isinstance(choice, str) or choice not in choices:
        abort(400, f"{name} is one of: {', '.join(f'{each} ({meant})' for each, meant in choices.items())}.")
    return choice


@connect.post("/<name>/connect")
def begin(name: str) -> ResponseReturnValue:
    """Make the one-time state and say where to go."""
    provider, person = known_provider(name), require_admin()
    if is_being_forgotten(person, provider.name):
        abort(409, f"What {provider.title} brought is still being deleted. Try again in a minute.")
    state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
    return_to = redirect_uri(provider, services().settings)
    url = authorisation_url(provider, state, verifier, return_to)
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        transaction.execute(
            "select private.begin_connection(%s, %s, %s, %s, %s, %s, %s)",
            [
                person.org_id, provider.name, _hash(state), _hash(nonce),
                seal_verifier(verifier, state, services().settings), provider.oauth.issuer, return_to,
            ],
        )  # fmt: skip
    response: Response = redirect(url, 303) if from_form() else jsonify(authorization_url=url)
    response.set_cookie(
        _cookie_name(state), nonce, max_age=_COOKIE_LIFE, httponly=True, samesite="Lax", path="/", secure=_is_https()
    )
    return response


@connect.get("/<name>/callback")
def come_back(name: str) -> ResponseReturnValue:
    """The provider sent the browser back, or somebody says so."""
    provider = known_provider(name)
    try:
        answer: dict[str, Any] = {"connected": provider.name, "account": _finish(provider)}  # None leaves it out
    except Refused as refused:
        logger.info("connecting %s ended: %s", provider.name, refused.outcome.flag)
        answer = {"error": refused.outcome.flag, "provider": provider.name}
    response: Response = redirect(url_for("integrations.show", **answer), 303)
    response.headers["Referrer-Policy"] = "no-referrer"
    if cookie := next((key for key in request.cookies if key == _cookie_name(request.args.get("state", ""))), None):
        response.delete_cookie(cookie, path="/", httponly=True, samesite="Lax", secure=_is_https())
    return response


def _finish(provider: Provider) -> str | None:
    """Returns whose account it is, where there was one before: the `same`, or an `other`."""
    state = _single_parameters(provider).get("state", "")
    started = _consume(state)
    if started is None:
        _tell_pending(provider, Outcome.EXPIRED)
        raise Refused(Outcome.EXPIRED)
    try:
        person = _accept(provider, started, state)
        grant = exchange(
            provider, _code(), open_verifier(started.verifier, state, services().settings), started.redirect_uri,
            request.args,
        )  # fmt: skip
        return _keep_or_give_back(provider, started, person, grant)
    except Refused as refused:
        if (
            refused.outcome is not Outcome.CANCELLED
        ):  # who thinks better of it has harmed nothing: the card stays as it was
            _tell(state, refused.outcome.sentence.format(provider=provider.title))
        raise
    except BootsError as error:
        _tell(state, str(error))
        raise Refused(Outcome.FAILED) from error


def _single_parameters(provider: Provider) -> dict[str, str]:
    """The parameters, each at most once and of a sane length; who sends more is not the provider."""
    for values in request.args.listvalues():
        if len(values) > 1 or len(values[0]) > _LONGEST_PARAMETER:
            _tell_pending(provider, Outcome.MISMATCH)
            raise Refused(Outcome.MISMATCH)
    return request.args.to_dict()


def _consume(state: str) -> Started | None:
    """Use the state, once and for good: what follows may fail, but never run twice."""
    with services().database.connection() as connection:
        row = connection.execute(
            """select org_id, source_id, user_id, provider, browser_hash, verifier, issuer, redirect_uri
                 from private.consume_oauth_state(%s)""",
            [_hash(state)],
        ).fetchone()
    return Started(**row) if row else None


def _accept(provider: Provider, started: Started, state: str) -> Person:
    """Whether the answer is the one to what was asked: same provider, browser, person, organisation and issuer, and no
    refusal."""
    person = signed_in()
    nonce = request.cookies.get(_cookie_name(state), "")
    if (
        started.provider != provider.name
        or not hmac.compare_digest(_hash(nonce), started.browser_hash)
        or person is None
        or person.user_id != started.user_id
        or person.org_id != started.org_id
    ):
        raise Refused(Outcome.MISMATCH)
    if not _is_admin(person, started.org_id):
        raise Refused(Outcome.NOT_ADMIN)
    _check_issuer(provider, started)
    if "error" in request.args:
        raise Refused(Outcome.CANCELLED if request.args["error"] == "access_denied" else Outcome.REFUSED)
    return person


def _check_issuer(provider: Provider, started: Started) -> None:
    # Compared as they are: an issuer that is nearly right is another one.
    issuer = request.args.get("iss")
    expected = started.issuer
    if expected != provider.oauth.issuer or (issuer is None and provider.oauth.sends_issuer):
        raise Refused(Outcome.MISMATCH)
    if issuer is not None and issuer != expected:
        raise Refused(Outcome.MISMATCH)


def _is_admin(person: Person, org_id: UUID) -> bool:
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        row = transaction.execute("select private.is_org_admin(%s) as yes", [org_id]).fetchone()
    return bool(row and row["yes"])


def _code() -> str:
    code = request.args.get("code", "")
    if not code:
        raise Refused(Outcome.MISMATCH)
    return code


def account_is_connected(transaction: Connection, provider: Provider, account_id: str | None) -> bool:
    """Whether a connection lives, here or elsewhere, that revoking a grant of this account may end.

    It may be another provider's that the same client asks at the same issuer: to Google, Drive and Gmail are one grant.
    """
    row = transaction.execute(
        "select bool_or(private.account_is_connected(name, %s)) as yes from unnest(%s::text[]) name",
        [account_id, [each.name for each in PROVIDERS.values() if _asks_as(each) == _asks_as(provider)]],
    ).fetchone()
    return bool(row and row["yes"])


def _asks_as(provider: Provider) -> tuple[str, str | None]:
    return provider.oauth_facts.issuer, provider_settings(provider.env_prefix).client_id


def _keep_or_give_back(provider: Provider, started: Started, person: Person, grant: Grant) -> str | None:
    try:
        return _keep(provider, started, person, grant)
    except Exception:
        # What was rolled back does not count; a connection that stands does. When we cannot ask, it is left alone.
        with services().database.connection() as connection:
            shared = account_is_connected(connection, provider, grant.account.id)
        if not shared:
            revoke(provider, grant.refresh_token, services().settings)
        raise


def _keep(provider: Provider, started: Started, person: Person, grant: Grant) -> str | None:
    with services().database.user(person.user_id, org_id=started.org_id, as_authenticated=False) as transaction:
        # The pipeline may be renewing the old token of this connection: a code that was used cannot be asked for again,
        # so this waits for as long as a renewal may take.
        transaction.execute("set local lock_timeout = '25s'")
        transaction.execute("set local statement_timeout = '30s'")
        before = transaction.execute(
            "select account_id from private.connection_secrets(%s, %s)", [started.org_id, provider.name]
        ).fetchone()
        tokens = services().vault.for_connection(started.org_id, started.source_id, transaction)
        kept: list[Any] = [
            tokens.store_token(grant.access_token, "access"),
            tokens.store_token(grant.refresh_token, "refresh"),
            grant.expires_at, grant.scopes, grant.account.id, grant.account.name, provider.mcp_url,
        ]  # fmt: skip
        transaction.execute(
            "select private.complete_connection(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [started.org_id, started.source_id, *kept],
        )
    if before is None or before["account_id"] is None:
        return None
    return "same" if before["account_id"] == grant.account.id else "other"


def _tell(state: str, sentence: str) -> None:
    """Write on the card why it failed; when even that fails, the person still gets an answer."""
    try:
        with services().database.connection() as connection:
            connection.execute("select private.fail_connection(%s, %s)", [_hash(state), sentence])
    except BootsError as error:
        logger.error("the reason for a failed connection was not kept: %s", error)


def _tell_pending(provider: Provider, outcome: Outcome) -> None:
    """An answer that belongs to no state of ours: only a card that waits for one is told, and only its admin's."""
    person = signed_in()
    if person is None or not person.is_admin:
        return
    with services().database.user(person.user_id, as_authenticated=False) as transaction:
        transaction.execute(
            "select private.fail_pending_connection(%s, %s, %s)",
            [person.org_id, provider.name, outcome.sentence.format(provider=provider.title)],
        )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _cookie_name(state: str) -> str:
    return f"{'__Host-' if _is_https() else ''}oauth_{_hash(state).hex()[:16]}"


def _is_https() -> bool:
    return services().settings.public_base_url.startswith("https://")
