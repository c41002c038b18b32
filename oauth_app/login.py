"""Signing in and out. People sign in at Supabase, and its access token is exchanged for a session here; without a
Supabase project there is the development sign-in, where one chooses who to be (refused in production by `services.py`).
"""

from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from oauth_app.services import services
from oauth_app.session import (
    bearer_token,
    end_session,
    memberships,
    require_person,
    signed_in,
    start_session,
    verified,
)

login = Blueprint("login", __name__)


@login.get("/")
def home() -> ResponseReturnValue:
    """There is no home of its own: the settings are where one starts."""
    return redirect(url_for("integrations.show"), 303)


@login.get("/login")
def show() -> ResponseReturnValue:
    """Everybody who could sign in, by organisation; with Supabase, where to do it."""
    signed_in()
    return render_template("login.html", users=_users(), supabase=services().supabase is not None)


@login.post("/login")
def sign_in() -> ResponseReturnValue:
    """Become somebody. `organization` chooses among several; without it, the first."""
    if services().supabase is not None:
        abort(404, "There is no development sign-in here: sign in at Boots Portal.")
    email, slug = (request.form.get(name, "").strip() for name in ("email", "organization"))
    user = next((user for user in _users() if user["email"] == email and slug in ("", user["org_slug"])), None)
    if user is None:
        abort(400, "There is no such development user. Choose one from the list.")
    start_session(user["user_id"], user["org_id"], user["email"])
    return redirect(url_for("integrations.show"), 303)


@login.post("/auth/session")
def exchange() -> ResponseReturnValue:
    """A session for a Supabase access token, which comes in the Authorization header.

    `organization`, a slug, chooses among several; without it, the first by name. A provider's callback brings nothing
    but cookies, so connecting needs a session.
    """
    token = bearer_token()
    if token is None:
        abort(401, "Send Supabase's access token in the Authorization header, as Bearer.")
    told = request.get_json(silent=True)
    slug = told.get("organization") if isinstance(told, dict) else None
    person = next((person for person in memberships(verified(token)) if slug in (None, person.org_slug)), None)
    if person is None:
        abort(403, "You are a member of no such organisation. Ask one of its admins to invite you.")
    start_session(person.user_id, person.org_id, person.email)
    return jsonify(
        organization={"slug": person.org_slug, "name": person.org_name}, csrf_token=session["csrf_token"]
    ), 201


@login.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End the session."""
    end_session()
    return redirect(url_for("login.show"), 303)


@login.get("/api/session")
def show_session() -> ResponseReturnValue:
    """Who is asking, and the token that a program sends back as X-CSRF-Token."""
    person = require_person()
    return jsonify(
        user={"id": person.user_id, "email": person.email, "role": person.role},
        organization={"id": person.org_id, "slug": person.org_slug, "name": person.org_name},
        csrf_token=session.get("csrf_token"),
    )


def _users() -> list[dict[str, Any]]:
    if services().supabase is not None:
        return []
    with services().database.connection() as connection:
        return connection.execute("select * from private.local_users()").fetchall()
