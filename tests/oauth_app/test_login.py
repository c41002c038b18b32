"""The development sign-in, the session it starts, and who must not get past it."""

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from tests.conftest import Organisation
from tests.oauth_app.conftest import Browser


def test_the_page_lists_everybody_and_says_what_it_is(app: Flask, organisation: Organisation) -> None:
    page = app.test_client().get("/login").text
    assert "development sign-in" in page
    assert f"admin@{organisation.slug}.example" in page
    assert f"member@{organisation.slug}.example" in page


def test_the_session_says_who_is_asking(admin: Browser, organisation: Organisation) -> None:
    told = admin.get("/api/session").get_json()
    assert told["user"] == {"id": str(organisation.admin), "email": "admin@harbour-joinery.example", "role": "admin"}
    assert told["organization"] == {"id": str(organisation.id), "slug": organisation.slug, "name": "Harbour-Joinery"}
    assert len(told["csrf_token"]) >= 32


def test_an_unknown_address_is_refused(app: Flask, organisation: Organisation) -> None:
    answer = app.test_client().post("/login", data={"email": "nobody@nowhere.example"})
    assert answer.status_code == 400
    assert "no such development user" in answer.text


def test_somebody_in_two_organisations_chooses(
    app: Flask, organisation: Organisation, new_organisation: Callable[..., Organisation], owner: psycopg.Connection
) -> None:
    other = new_organisation("zebra-crossings")
    owner.execute("insert into organization_members values (%s, %s, 'member')", [other.id, organisation.admin])
    client = app.test_client()
    client.post("/login", data={"email": "admin@harbour-joinery.example", "organization": other.slug})
    told = client.get("/api/session").get_json()
    assert (told["organization"]["slug"], told["user"]["role"]) == (other.slug, "member")


def test_web_24_a_sign_in_starts_a_new_session(app: Flask, organisation: Organisation) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        session.update(csrf_token="planted", left_over="yes")
    answer = client.post("/login", data={"email": "admin@harbour-joinery.example"})
    with client.session_transaction() as session:
        assert set(session) == {"id", "csrf_token"}
        assert session["csrf_token"] != "planted"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_web_24_signing_out_ends_it_for_a_copy_of_the_cookie_too(admin: Browser, app: Flask) -> None:
    copy = app.test_client()
    copy.set_cookie("boots", admin.client.get_cookie("boots").value)
    assert copy.get("/api/session").status_code == 200
    assert admin.post("/logout").status_code == 303
    assert admin.get("/api/session").status_code == 401
    assert copy.get("/api/session").status_code == 401


def test_web_24_signing_in_again_ends_the_session_before(app: Flask, organisation: Organisation) -> None:
    client = app.test_client()
    client.post("/login", data={"email": "admin@harbour-joinery.example"})
    copy = app.test_client()
    copy.set_cookie("boots", client.get_cookie("boots").value)
    client.post("/login", data={"email": "member@harbour-joinery.example"})
    assert copy.get("/api/session").status_code == 401


def test_web_24_a_session_ends_by_itself(admin: Browser, owner: psycopg.Connection) -> None:
    owner.execute("update private.web_sessions set expires_at = now() - interval '1 second'")
    assert admin.get("/api/session").status_code == 401


def test_pages_lead_to_the_sign_in_and_programs_are_told(app: Flask) -> None:
    client = app.test_client()
    for page in ("/settings/integrations", "/proposals", f"/proposals/{uuid4()}"):
        assert client.get(page, headers={"Accept": "text/html"}).headers["Location"] == "/login"
    for path in ("/api/session", "/api/integrations", f"/api/proposals/{uuid4()}"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()) == (401, {"error": "Sign in first."})


@pytest.mark.parametrize("path", ["hubspot/connect", "hubspot/disconnect", "hubspot/sync"])
def test_nobody_signed_in_changes_anything(app: Flask, path: str) -> None:
    assert app.test_client().post(f"/api/integrations/{path}").status_code == 401


def test_who_left_the_organisation_is_out_at_once(
    member: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    owner.execute("delete from organization_members where user_id = %s", [organisation.member])
    assert member.get("/api/session").status_code == 401


def test_the_list_of_users_is_for_the_pages_alone(owner: psycopg.Connection) -> None:
    rights = owner.execute(
        """select r as role, has_function_privilege(r, 'private.local_users()', 'execute') as may
             from unnest(array['anon', 'authenticated', 'boots_worker', 'boots_web']) r"""
    ).fetchall()
    assert [right["role"] for right in rights if right["may"]] == ["boots_web"]
