"""The development sign-in: choose who to be. It is refused in production (`services.py`)."""

from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from oauth_app.services import services
from oauth_app.session import require_person, signed_in, start_session

login = Blueprint("login", __name__)


@login.get("/")
def home() -> ResponseReturnValue:
    """There is no home of its own: the settings are where one starts."""
    return redirect(url_for("integrations.show"), 303)


@login.get("/login")
def show() -> ResponseReturnValue:
    """Everybody who could sign in, by organisation."""
    signed_in()
    return render_template("login.html", users=_users())


@login.post("/login")
def sign_in() -> ResponseReturnValue:
    """Become somebody. `organization` chooses among several; without it, the first."""
    email, slug = (request.form.get(name, "").strip() for name in ("email", "organization"))
    user = next((user for user in _users() if user["email"] == email and slug in ("", user["org_slug"])), None)
    if user is None:
        abort(400, "There is no such development user. Choose one from the list.")
    start_session(user["user_id"], user["org_id"], user["email"])
    return redirect(url_for("integrations.show"), 303)


@login.post("/logout")
def sign_out() -> ResponseReturnValue:
    """Forget the session."""
    session.clear()
    return redirect(url_for("login.show"), 303)


@login.get("/api/session")
def show_session() -> ResponseReturnValue:
    """Who is asking, and the token that a program sends back as X-CSRF-Token."""
    person = require_person()
    return jsonify(
        user={"id": person.user_id, "email": person.email, "role": person.role},
        organization={"id": person.org_id, "slug": person.org_slug, "name": person.org_name},
        csrf_token=session["csrf_token"],
    )


def _users() -> list[dict[str, Any]]:
    with services().database.connection() as connection:
        return connection.execute("select * from private.local_users()").fetchall()
