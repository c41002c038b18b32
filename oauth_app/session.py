"""Who is asking, and whether they mean it: the session, the membership behind it, the defence against forged requests.

A session is a row of private.web_sessions; the cookie holds its id and a CSRF token, signed, not encrypted. A program
may send Supabase's access token with a request instead. What a person may do is read from the members table at each
request, never from a cookie or a token.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, abort, g, redirect, request, session, url_for

from oauth_app.problems import wants_json
from oauth_app.services import services
from oauth_app.supabase import NotSignedIn, User

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_IN = ("login.sign_in", "login.exchange")  # they start a session, so none can vouch for them
SESSION_LIFE = timedelta(hours=12)

_MEMBERSHIPS = """
select o.id as org_id, o.slug as org_slug, o.name as org_name, o.time_zone, m.role
  from organizations o join organization_members m on m.org_id = o.id
 where m.user_id = %s order by o.name, o.slug
"""


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
    """Begin anew for somebody who was verified just now: nothing of an earlier session survives a sign-in."""
    end_session()
    session_id = secrets.token_urlsafe(32)
    with services().database.user(user_id, as_authenticated=False) as transaction:
        transaction.execute(
            "select private.begin_session(%s, %s, %s, %s)", [_hash(session_id), org_id, email, SESSION_LIFE]
        )
    session.update(id=session_id, csrf_token=secrets.token_urlsafe(32))


def end_session() -> None:
    """End the session, for whoever holds a copy of its cookie."""
    session_id = session.get("id")
    session.clear()
    if session_id is not None:
        with services().database.connection() as connection:
            connection.execute("select private.end_session(%s)", [_hash(session_id)])


def memberships(user: User) -> list[Person]:
    """Somebody in each of the organisations that he is a member of now, by name."""
    with services().database.user(user.id) as transaction:
        rows = transaction.execute(_MEMBERSHIPS, [user.id]).fetchall()
    return [Person(user_id=user.id, email=user.email, **row) for row in rows]


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
    if (token := bearer_token()) is not None:
        return _person_of(token)
    if "id" not in session:
        return None
    with services().database.connection() as connection:
        row = connection.execute("select * from private.session_person(%s)", [_hash(session["id"])]).fetchone()
    if row is None:
        session.clear()
        return None
    return Person(**row)


def _person_of(token: str) -> Person | None:
    """The person of an access token: in the organisation that the request names, or in the only one."""
    found = memberships(verified(token))
    if (slug := request.headers.get("X-Organization")) is not None:
        return next((person for person in found if person.org_slug == slug), None)
    if len(found) > 1:
        abort(400, "You belong to several organisations: name one by its slug, in the header X-Organization.")
    return found[0] if found else None


def bearer_token() -> str | None:
    """The token of the Authorization header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def verified(token: str) -> User:
    """The user of one of Supabase's access tokens; 401 when it is no proof."""
    supabase = services().supabase
    try:
        if supabase is None:
            raise NotSignedIn
        return supabase.verify(token)
    except NotSignedIn:
        abort(401, "The access token is not valid (any more). Sign in again.")


def _refuse_forgery() -> None:
    if request.method in _SAFE_METHODS:
        return
    if not _is_same_origin():
        abort(403, "This request came from another site. Open the page here and try again.")
    # A browser never sends Authorization by itself: who sends it means it.
    if bearer_token() is None and "id" in session and request.endpoint not in _SIGN_IN and not _has_token():
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


def _hash(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()
