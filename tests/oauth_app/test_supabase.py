"""Signing in with Supabase's access tokens: which are believed, and what they are good for."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from boots_pipeline.settings import Settings
from oauth_app import create_app, supabase
from tests.conftest import Organisation
from tests.http_server import Handler, serving
from tests.oauth_app.conftest import Browser, consent

EC, RSA, STRANGER = (
    ECKey.generate_key("P-256", {"kid": "ec"}),
    RSAKey.generate_key(2048, {"kid": "rsa"}),
    ECKey.generate_key("P-256", {"kid": "ec"}),
)
LEAKED = OctKey.import_key("published by mistake, 32 bytes long", {"kid": "oct"})
SECRET = "the legacy secret of a project, 40 bytes"


class Project:
    """A Supabase project, as far as it publishes its keys."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = f"{url}/auth/v1"
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.answer: bytes | None = None

    def publish(self, *keys: Key) -> None:
        self.keys = [key.as_dict(private=key.key_type == "oct") for key in keys]

    def token(self, key: Key = EC, alg: str = "ES256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token as Supabase makes them; what is given as None is left out."""
        told = {
            "iss": self.issuer, "aud": "authenticated", "role": "authenticated", "exp": int(time.time()) + 3600,
            "sub": str(uuid4()), "email": "admin@harbour-joinery.example", "is_anonymous": False,
            "app_metadata": {"provider": "email"}, "user_metadata": {}, **claims,
        }  # fmt: skip
        kept = {name: value for name, value in told.items() if value is not None}
        made = {"alg": alg, **({"kid": key.kid} if key.kid else {}), **(header or {})}
        anything = JWSRegistry(header_registry={"boots": HeaderParameter("ours alone", "str")}, algorithms=[alg])
        return jwt.encode(made, kept, key, registry=anything)


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """One that publishes an EC and an RSA key."""

    class Answering(Handler):
        def do_GET(self) -> None:
            made.asked += 1
            sent = made.answer if made.answer is not None else json.dumps({"keys": made.keys}).encode()
            self.send_response(200 if self.path == "/auth/v1/.well-known/jwks.json" else 404)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    with serving(Answering) as address:
        made = Project(address)
        yield made


@pytest.fixture
def keys(project: Project) -> None:
    """The project's keys, as new."""
    project.publish(EC, RSA, LEAKED)
    project.asked, project.answer = 0, None


@pytest.fixture
def signed(project: Project, keys: None, web_settings: Settings) -> Iterator[Flask]:
    """The app of a portal that signs in with Supabase."""
    told = web_settings.model_copy(update={"supabase_url": project.url})
    app = create_app(told)
    yield app
    app.extensions["boots"].close()


def ask(app: Flask, token: str, **headers: str) -> Any:
    return app.test_client().get("/api/session", headers={"Authorization": f"Bearer {token}", **headers})


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (RSA, "RS256")])
def test_a_token_says_who_is_asking(
    signed: Flask, project: Project, organisation: Organisation, key: Key, alg: str
) -> None:
    answer = ask(signed, project.token(key, alg, sub=str(organisation.admin)))
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    assert told["user"] == {"id": str(organisation.admin), "email": "admin@harbour-joinery.example", "role": "admin"}
    assert told["organization"]["slug"] == organisation.slug


def _by_hand(header: dict[str, str], payload: str, secret: bytes | None) -> str:
    """What no library agrees to make."""
    start = f"{urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.{payload}"
    signature = hmac.digest(secret, start.encode(), "sha256") if secret else b""
    return f"{start}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def _forged(project: Project, organisation: Organisation) -> dict[str, str]:
    me: dict[str, Any] = {"sub": str(organisation.admin)}
    whole = project.token(**me)
    header, payload, signature = whole.split(".")
    public = EC.as_pem(private=False)
    return {
        "by another's key": project.token(STRANGER, **me),
        "with the public key as a shared secret": _by_hand({"alg": "HS256", "kid": "ec"}, payload, public),
        "by a shared secret that was published": project.token(LEAKED, "HS256", **me),
        "by nobody": _by_hand({"alg": "none", "kid": "ec"}, payload, None),
        "without its signature": f"{header}.{payload}.",
        "with another payload": f"{header}.{project.token(sub=str(organisation.member)).split('.')[1]}.{signature}",
        "of an unknown key": project.token(ECKey.generate_key("P-256", {"kid": "new"}), **me),
        "without a key's name": jwt.encode({"alg": "ES256"}, {"sub": me["sub"]}, EC, algorithms=["ES256"]),
        "expired": project.token(exp=int(time.time()) - 60, **me),
        "without an end": project.token(exp=None, **me),
        "not yet": project.token(nbf=int(time.time()) + 600, **me),
        "of another project": project.token(iss="https://another.supabase.co/auth/v1", **me),
        "of nobody's project": project.token(iss=None, **me),
        "for another audience": project.token(aud="somebody else", **me),
        "for no audience": project.token(aud=None, **me),
        "of the service role": project.token(role="service_role", **me),
        "of an anonymous visitor": project.token(role="anon", **me),
        "of an anonymous user": project.token(is_anonymous=True, **me),
        "without a role": project.token(role=None, **me),
        "without a user": project.token(sub=None),
        "of a user who is no uuid": project.token(sub="admin"),
        "of a user who is a list": project.token(sub=[str(organisation.admin)]),
        "that tells us to understand something": project.token(header={"crit": ["boots"], "boots": "1"}, **me),
        "that brings its own key": project.token(STRANGER, header={"jwk": STRANGER.as_dict(private=False)}, **me),
        "without end": project.token(note="x" * 20_000, **me),
        "that is none": "not.a.token",
        "that is nothing": "",
    }


def test_attack_17_no_other_token_is_believed(signed: Flask, project: Project, organisation: Organisation) -> None:
    assert ask(signed, project.token(sub=str(organisation.admin))).status_code == 200
    believed = {
        name: answer.text
        for name, token in _forged(project, organisation).items()
        if (answer := ask(signed, token)).status_code != 401
    }
    assert believed == {}


def test_attack_17_the_legacy_secret_is_used_where_it_is_configured_and_nowhere_else(
    signed: Flask, project: Project, web_settings: Settings, organisation: Organisation
) -> None:
    shared = OctKey.import_key(SECRET)
    token = project.token(shared, "HS256", sub=str(organisation.admin))
    assert ask(signed, token).status_code == 401
    legacy = create_app(Settings(**{**dict(web_settings), "supabase_url": project.url, "supabase_jwt_secret": SECRET}))
    try:
        assert ask(legacy, token).status_code == 200
        assert ask(legacy, project.token(sub=str(organisation.admin))).status_code == 401
        assert ask(legacy, project.token(shared, "HS256", role="service_role")).status_code == 401
    finally:
        legacy.extensions["boots"].close()


def test_attack_18_what_a_user_says_of_himself_counts_for_nothing(
    signed: Flask, project: Project, organisation: Organisation
) -> None:
    token = project.token(
        user_metadata={"org_id": str(organisation.id), "role": "admin"},
        app_metadata={"org_id": str(organisation.id), "role": "admin"},
        org_id=str(organisation.id),
    )
    assert ask(signed, token).status_code == 401
    assert ask(signed, token, **{"X-Organization": organisation.slug}).status_code == 401


def test_attack_19_a_member_who_was_removed_is_out_with_a_valid_token(
    signed: Flask, project: Project, organisation: Organisation, owner: psycopg.Connection
) -> None:
    token = project.token(sub=str(organisation.admin))
    client = signed.test_client()
    assert _exchange(client, token).status_code == 201
    owner.execute("delete from organization_members where user_id = %s", [organisation.admin])
    assert ask(signed, token).status_code == 401
    assert client.get("/api/session").status_code == 401
    assert _exchange(signed.test_client(), token).status_code == 403


def _exchange(client: FlaskClient, token: str, **told: Any) -> Any:
    return client.post("/auth/session", json=told, headers={"Authorization": f"Bearer {token}"})


def test_a_token_becomes_the_session_that_a_callback_needs(
    signed: Flask, project: Project, organisation: Organisation, owner: psycopg.Connection,
    provider_environment: object,
) -> None:  # fmt: skip
    browser = Browser(signed.test_client())
    answer = _exchange(browser.client, project.token(sub=str(organisation.admin)))
    assert answer.status_code == 201, answer.text
    browser.csrf_token = answer.get_json()["csrf_token"]
    assert browser.get(consent(browser.start())).headers["Location"].endswith("connected=hubspot")
    assert owner.execute("select status from connected_sources").fetchone() == {"status": "active"}


def test_a_session_is_for_who_sends_a_token_and_no_cookie(signed: Flask) -> None:
    assert signed.test_client().post("/auth/session").status_code == 401
    refused = _exchange(signed.test_client(), "nonsense")
    assert (refused.status_code, refused.get_json().keys()) == (401, {"error"})


def test_somebody_in_two_organisations_names_one(
    signed: Flask, project: Project, organisation: Organisation, new_organisation: Callable[..., Organisation],
    owner: psycopg.Connection,
) -> None:  # fmt: skip
    other = new_organisation("zebra-crossings")
    owner.execute("insert into organization_members values (%s, %s, 'member')", [other.id, organisation.admin])
    token = project.token(sub=str(organisation.admin))
    assert ask(signed, token).status_code == 400
    assert ask(signed, token, **{"X-Organization": other.slug}).get_json()["organization"]["slug"] == other.slug
    assert ask(signed, token, **{"X-Organization": "nowhere"}).status_code == 401
    client = signed.test_client()
    assert _exchange(client, token, organization=other.slug).status_code == 201
    assert client.get("/api/session").get_json()["organization"]["slug"] == other.slug
    assert _exchange(client, token, organization="nowhere").status_code == 403


def test_a_program_with_a_token_needs_no_csrf_token_and_uses_no_cookie(
    signed: Flask, project: Project, organisation: Organisation, provider_environment: object
) -> None:
    token = project.token(sub=str(organisation.admin))
    headers = {"Authorization": f"Bearer {token}"}
    assert signed.test_client().post("/api/integrations/hubspot/connect", headers=headers).status_code == 200
    client = signed.test_client()
    _exchange(client, token)
    assert client.post("/api/integrations/hubspot/connect").status_code == 403, "a cookie alone is no intention"
    refused = client.post("/api/integrations/hubspot/connect", headers={"Authorization": "Bearer nonsense"})
    assert refused.status_code == 401, "a token that is no good does not fall back to the cookie"


def test_the_development_sign_in_is_off(signed: Flask, organisation: Organisation) -> None:
    client = signed.test_client()
    assert client.post("/login", data={"email": "admin@harbour-joinery.example"}).status_code == 404
    page = client.get("/login").text
    assert "Boots Portal" in page
    assert "harbour-joinery" not in page


def test_production_starts_with_supabase_and_https(signed: Flask, project: Project, web_settings: Settings) -> None:
    told = {"supabase_url": "https://x.supabase.co", "boots_env": "production", "public_base_url": "https://p.example"}
    app = create_app(Settings(**{**dict(web_settings), **told}))
    app.extensions["boots"].close()
    assert app.config["SESSION_COOKIE_SECURE"] is True


def test_keys_are_asked_for_once_and_again_for_a_new_one(
    signed: Flask, project: Project, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = {"sub": str(organisation.admin)}
    for _ in range(3):
        assert ask(signed, project.token(**me)).status_code == 200
    assert project.asked == 1
    new = ECKey.generate_key("P-256", {"kid": "new"})
    project.publish(EC, new)
    for _ in range(3):
        assert ask(signed, project.token(new, **me)).status_code == 401
    assert project.asked == 1, "made-up key ids do not make us ask"
    monkeypatch.setattr(supabase, "_ASK_AGAIN_SECONDS", 0)
    assert ask(signed, project.token(new, **me)).status_code == 200
    project.publish(new)
    monkeypatch.setattr(supabase, "_KEYS_LAST_SECONDS", 0)
    assert ask(signed, project.token(**me)).status_code == 401, "a key that was withdrawn is out"


def test_while_supabase_does_not_answer_known_keys_go_on_for_a_while(
    signed: Flask, project: Project, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = {"sub": str(organisation.admin)}
    assert ask(signed, project.token(**me)).status_code == 200
    project.answer = b"out of order"
    monkeypatch.setattr(supabase, "_KEYS_LAST_SECONDS", 0)
    monkeypatch.setattr(supabase, "_ASK_AGAIN_SECONDS", 0)
    assert ask(signed, project.token(**me)).status_code == 200
    asked = project.asked
    monkeypatch.setattr(supabase, "_ASK_AGAIN_SECONDS", 30)
    for _ in range(3):
        assert ask(signed, project.token(**me)).status_code == 200
    assert project.asked == asked, "it is not asked again and again"
    monkeypatch.setattr(supabase, "_GRACE_SECONDS", 0)
    assert ask(signed, project.token(**me)).status_code == 502


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[]", b'{"keys": [{"kty": "?"}]}', b"x" * 100_000])
def test_a_project_that_tells_no_keys_signs_nobody_in(
    signed: Flask, project: Project, organisation: Organisation, answer: bytes
) -> None:
    project.answer = answer
    told = ask(signed, project.token(sub=str(organisation.admin)))
    assert (told.status_code, told.get_json()["error"][:8]) == (502, "Supabase")
