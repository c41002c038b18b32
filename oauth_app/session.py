"""Who is asking, and whether they mean it: the session, the membership behind it, the defence against forged requests.

A session holds user id, chosen organisation, e-mail address and a CSRF token. It is signed and not encrypted: nothing
secret goes in. What a person may do is read from the members table at each request, never from the session.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, abort, g, redirect, request, session, url_for

from oauth_app.problems import wants_json
from oauth_app.services import services

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_IN = "login.sign_in"  # it starts a session, so none can vouch for it


@dataclass(frozen=True)
class Person:
    """Somebody signed in, as a member of one organisation."""

    user_id: UUID
    email: str
    org_id: UUID
    org_slug: str
    org_name: str
    time_zone: str
    role: str

    @property
    def is_admin(self) -> bool:
        return self.role in ("owner", "admin")


def start_session(user_id: UUID, org_id: UUID, email: str) -> None:
    """Begin anew: nothing of an earlier session survives a sign-in."""
    session.clear()
    session.update(user_id=str(user_id), org_id=str(org_id), email=email, csrf_token=secrets.token_urlsafe(32))


def signed_in() -> Person | None:
    """The person of this request, if the session names one who is still a member."""
    if "person" not in g:
        g.person = _read_person()
    found: Person | None = g.person
    return found


def require_person() -> Person:
    """The person, or the way to the sign-in page (for an API: 401)."""
    person = signed_in()
    if person is None:
        if wants_json():
            abort(401, "Sign in first.")
        abort(redirect(url_for("login.show"), 303))
    return person


def require_admin() -> Person:
    """The person, when he is an admin of the organisation now."""
    person = require_person()
    if not person.is_admin:
        abort(403, f"Only an admin of {person.org_name} can do this. Ask one of them.")
    return person


def guard(app: Flask) -> None:
    """Check each request that changes something, and give the templates what they show of the session."""
    app.before_request(_refuse_forgery)
    app.context_processor(_for_templates)


def _for_templates() -> dict[str, Any]:
    return {"person": g.get("person"), "csrf_token": session.get("csrf_token", "")}


def _read_person() -> Person | None:
    if "user_id" not in session:
        return None
    user_id, org_id = UUID(session["user_id"]), UUID(session["org_id"])
    with services().database.user(user_id) as transaction:
        row = transaction.execute(
            """select o.slug, o.name, o.time_zone, m.role
                 from organizations o join organization_members m on m.org_id = o.id
                where o.id = %s and m.user_id = %s""",
            [org_id, user_id],
        ).fetchone()
    if row is None:
        session.clear()
        return None
    return Person(user_id, session["email"], org_id, row["slug"], row["name"], row["time_zone"], row["role"])


def _refuse_forgery() -> None:
    if request.method in _SAFE_METHODS:
        return
    if not _is_same_origin():
        abort(403, "This request came from another site. Open the page here and try again.")
    if "user_id" in session and request.endpoint != _SIGN_IN and not _has_token():
        abort(403, "The page was out of date (its CSRF token is missing or wrong). Reload it and try again.")


def _is_same_origin() -> bool:
    """A browser says where a request comes from; what says nothing is no browser, and the token decides."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    base = urlsplit(services().settings.public_base_url)
    return origin == f"{base.scheme}://{base.netloc}"


def _has_token() -> bool:
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    return hmac.compare_digest(sent.encode(), session["csrf_token"].encode())
