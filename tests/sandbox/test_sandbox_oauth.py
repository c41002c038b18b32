"""The authorisation server: the whole code flow, and each way in which it must say no."""

import re
from typing import Any

import httpx
import pytest

CALLBACK = "http://127.0.0.1:9/api/integrations/hubspot/callback"


def code_of(response: httpx.Response) -> dict[str, str]:
    return dict(httpx.URL(response.headers["location"]).params)


def refused(response: httpx.Response, error: str) -> bool:
    return (response.status_code, response.json()["error"]) == (
        401 if error == "invalid_client" else 400,
        error,
    )


def test_discovery_leads_from_the_challenge_to_the_endpoints(outside: Any) -> None:
    challenge = outside.ping(None)
    metadata = f"{outside.base_url}/hubspot/.well-known/oauth-protected-resource"
    assert challenge.status_code == 401
    assert challenge.headers["www-authenticate"] == f'Bearer resource_metadata="{metadata}"'
    [issuer] = outside.http.get(metadata).json()["authorization_servers"]
    server = outside.http.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    assert server["issuer"] == issuer
    assert server["authorization_endpoint"] == f"{issuer}/oauth/authorize/user"
    assert server["token_endpoint"] == f"{issuer}/oauth/v3/token"
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["token_endpoint_auth_methods_supported"] == ["client_secret_post"]
    assert server["authorization_response_iss_parameter_supported"] is True


def test_the_consent_page_says_what_it_is(outside: Any) -> None:
    page = outside.http.get(
        "/hubspot/oauth/authorize/user",
        params={
            "response_type": "code",
            "client_id": "boots-sandbox",
            "redirect_uri": CALLBACK,
            "code_challenge": "x" * 43,
            "code_challenge_method": "S256",
        },
    )
    assert page.status_code == 200
    assert "sandbox" in page.text
    assert 'value="harbour-joinery"' in page.text
    assert 'value="deny"' in page.text
    assert "<li>read and change your companies, contacts and deals</li>" in page.text
    asked = {
        "response_type": "code",
        "client_id": "boots-sandbox",
        "redirect_uri": CALLBACK.replace("hubspot", "gmail"),
        "scope": "openid https://www.googleapis.com/auth/gmail.readonly",
    }
    page = outside.http.get("/gmail/o/oauth2/v2/auth", params=asked)
    assert re.findall("<li>(.*?)</li>", page.text) == ["know who you are", "read your mail"]


def test_the_whole_flow(outside: Any) -> None:
    sent_back = code_of(outside.authorize("meridian-signage"))
    assert sent_back["state"] == "opaque"
    assert sent_back["iss"] == f"{outside.base_url}/hubspot"
    tokens = outside.exchange(sent_back["code"]).json()
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 1800
    assert tokens["hub_id"] == outside.truth("meridian-signage")["account"]["hub_id"]
    assert tokens["user_id"]
    assert tokens["scopes"]
    assert outside.ping(tokens["access_token"]).status_code == 200


def test_denied(outside: Any) -> None:
    sent_back = code_of(outside.authorize(decision="deny"))
    assert sent_back["error"] == "access_denied"
    assert sent_back["state"] == "opaque"
    assert sent_back["iss"] == f"{outside.base_url}/hubspot"
    assert "code" not in sent_back


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "somebody-else"},
        {"redirect_uri": "https://elsewhere.example/api/integrations/hubspot/callback"},
        {"redirect_uri": "http://127.0.0.1:9/somewhere/else"},
        {"redirect_uri": "http://127.0.0.1@elsewhere.example/api/integrations/hubspot/callback"},
        {"redirect_uri": "http://[broken"},
        {"redirect_uri": ""},
    ],
)
def test_who_is_not_registered_is_not_redirected(outside: Any, changed: dict[str, str]) -> None:
    page = outside.authorize(**changed)
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "crm.everything"}, "invalid_scope"),
    ],
)
def test_a_wrong_request_goes_back_as_an_error(outside: Any, changed: dict[str, str], error: str) -> None:
    assert code_of(outside.authorize(**changed))["error"] == error


def test_a_wrong_verifier_gets_nothing_and_spends_the_code(outside: Any) -> None:
    code = outside.code()
    assert refused(outside.exchange(code, code_verifier="w" * 43), "invalid_grant")
    assert refused(outside.exchange(code), "invalid_grant")


def test_a_code_works_once_and_its_reuse_revokes(outside: Any) -> None:
    code = outside.code()
    tokens = outside.exchange(code).json()
    assert refused(outside.exchange(code), "invalid_grant")
    assert outside.ping(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"redirect_uri": "http://localhost:9/api/integrations/hubspot/callback"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"client_secret": "guessed"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_the_token_endpoint_refuses(outside: Any, changed: dict[str, str], error: str) -> None:
    assert refused(outside.exchange(outside.code(), **changed), error)
    assert refused(outside.exchange("made-up"), "invalid_grant")


def test_a_client_that_authenticates_by_header_is_refused(outside: Any) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": outside.tokens()["refresh_token"]}
    answer = outside.http.post("/hubspot/oauth/v3/token", data=form, auth=("boots-sandbox", "boots-sandbox-secret"))
    assert refused(answer, "invalid_client")


def test_refreshing_rotates_and_reuse_revokes_the_family(outside: Any) -> None:
    first = outside.tokens()
    second = outside.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert outside.ping(second["access_token"]).status_code == 200
    assert refused(outside.refresh(first["refresh_token"]), "invalid_grant")
    assert outside.ping(second["access_token"]).status_code == 401
    assert refused(outside.refresh(second["refresh_token"]), "invalid_grant")


def test_a_revoked_grant_is_dead(outside: Any) -> None:
    tokens = outside.tokens()
    signed = {"client_id": "boots-sandbox", "client_secret": "boots-sandbox-secret"}
    introspected = {"data": {**signed, "token": tokens["access_token"]}}
    assert outside.http.post("/hubspot/oauth/v3/token/introspect", **introspected).json() == {"active": True}
    revoked = outside.http.post("/hubspot/oauth/v3/token/revoke", data={**signed, "token": tokens["refresh_token"]})
    assert revoked.status_code == 200
    assert outside.http.post("/hubspot/oauth/v3/token/introspect", **introspected).json() == {"active": False}
    assert outside.ping(tokens["access_token"]).status_code == 401
    assert refused(outside.refresh(tokens["refresh_token"]), "invalid_grant")


def test_no_secret_is_in_the_record_of_calls(outside: Any) -> None:
    code = outside.code()
    tokens = outside.exchange(code).json()
    outside.ping(tokens["access_token"])
    outside.refresh(tokens["refresh_token"])
    told = outside.http.get("/_control/calls").text
    assert [call.get("tool") or call["endpoint"] for call in outside.calls()] == [
        "authorize", "token", "get_user_details", "token",
    ]  # fmt: skip
    for secret in (code, tokens["access_token"], tokens["refresh_token"], "boots-sandbox-secret"):
        assert secret not in told
