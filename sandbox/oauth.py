"""The authorisation server in front of a twin: discovery, consent, token, revocation, introspection.

Reusable for any provider: what differs between them is in `provider.OAuthFacts`. What it remembers is in
`grants.py`. Nobody logs in here: on the consent page the visitor chooses whose account to open, as its admin.
"""

import base64
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Scope

from sandbox.calls import CallLog
from sandbox.faults import FaultPlan
from sandbox.fiction import World
from sandbox.grants import Grant, GrantBook, InvalidGrant
from sandbox.intercept import Asked, Intercepted
from sandbox.pages import page
from sandbox.provider import Provider

CLIENT_ID = "boots-sandbox"
CLIENT_SECRET = "boots-sandbox-secret"  # noqa: S105 - the one client that the fiction knows; it opens nothing real
CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
LOOPBACK = ("127.0.0.1", "localhost")
NO_STORE = {"Cache-Control": "no-store"}


class OAuthError(Exception):
    """An error answer of RFC 6749: a code from its list, and a sentence."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.status = code, status


@dataclass
class AuthorizationServer:
    provider: Provider
    world: World
    grants: GrantBook
    faults: FaultPlan
    calls: CallLog
    base_url: str

    @property
    def issuer(self) -> str:
        return f"{self.base_url}/{self.provider.name}"

    @property
    def resource_metadata(self) -> str:
        return f"{self.issuer}/.well-known/oauth-protected-resource"

    @property
    def challenge(self) -> str:
        return f'Bearer resource_metadata="{self.resource_metadata}"'

    def routes(self) -> list[Route]:
        facts = self.provider.oauth
        return [
            Route("/.well-known/oauth-protected-resource", self.protected_resource),
            Route("/.well-known/oauth-authorization-server", self.metadata),
            Route(facts.authorize_path, self.ask, methods=["GET"]),
            Route(facts.authorize_path, self.decide, methods=["POST"]),
            Route(facts.token_path, self._with_faults(request_response(self.token)), methods=["POST"]),
            Route(facts.revoke_path, self.revoke, methods=["POST"]),
            *([Route(facts.introspect_path, self.introspect, methods=["POST"])] if facts.introspect_path else []),
        ]

    async def protected_resource(self, request: Request) -> Response:
        return JSONResponse(
            {"resource": f"{self.issuer}/mcp", "authorization_servers": [self.issuer], "scopes_supported": []}
        )

    async def metadata(self, request: Request) -> Response:
        """Without the revocation endpoint: the real one does not advertise its own either."""
        facts = self.provider.oauth
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": self.issuer + facts.authorize_path,
                "token_endpoint": self.issuer + facts.token_path,
                **({"introspection_endpoint": self.issuer + facts.introspect_path} if facts.introspect_path else {}),
                **({"userinfo_endpoint": self.issuer + facts.userinfo_path} if facts.userinfo_path else {}),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": [f"client_secret_{way}" for way in facts.client_auth],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": facts.sends_issuer,
                "scopes_supported": list(facts.scopes or ()),
            }
        )

    # -- consent ---------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> Response:
        parameters = dict(request.query_params)
        if objection := self._objection(parameters):
            return objection
        action = f"{self.issuer}{self.provider.oauth.authorize_path}?{urlencode(parameters)}"
        return page(
            "consent.html", self.provider.title, action=action, organizations=self.world.organizations,
            asked=self._in_words(parameters.get("scope", "")),
        )  # fmt: skip

    def _in_words(self, scope: str) -> list[str]:
        facts = self.provider.oauth
        return [facts.scopes[each] for each in scope.split()] if facts.scopes else [facts.always_asked]

    async def decide(self, request: Request) -> Response:
        """The form came back. Everything is checked anew: a form is only what somebody sent."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        parameters = {**request.query_params, **form}
        if objection := self._objection(parameters):
            return objection
        account, decision = parameters.get("account", ""), parameters.get("decision", "")
        self._log("authorize", {"account": account, "decision": decision}, 303)
        if decision != "allow":
            return self._back(parameters, error="access_denied", error_description="The user said no.")
        if account not in {organization.slug for organization in self.world.organizations}:
            return self._problem("There is no such account here.")
        lasting = self.provider.oauth.for_refresh_token.items() <= parameters.items()
        grant = Grant(account, tuple(parameters.get("scope", "").split()), lasting)
        code = self.grants.issue_code(grant, parameters["redirect_uri"], parameters.get("code_challenge"))
        extras = self.provider.callback_extras(self.world.organization(account))
        return self._back(parameters, code=code, **extras)

    def _objection(self, parameters: dict[str, str]) -> Response | None:
        """A page when it is not safe to send the visitor back, else an error for the application."""
        if problem := self._unsafe(parameters):
            return self._problem(problem)
        if error := self._malformed(parameters):
            return self._back(parameters, error=error.code, error_description=str(error))
        return None

    def _unsafe(self, parameters: dict[str, str]) -> str | None:
        """Why nobody may be sent back: who asks is unknown, or where to is not registered."""
        if parameters.get("client_id") != CLIENT_ID:
            return "The application that sent you here is not registered (client_id)."
        try:
            target = urlsplit(parameters.get("redirect_uri", ""))
        except ValueError:
            return "The redirect_uri is not an address."
        if target.scheme != "http" or target.hostname not in LOOPBACK or target.fragment or target.query:
            return "The redirect_uri is not registered: only loopback addresses are."
        suffix = f"/api/integrations/{self.provider.name}/callback"
        if not target.path.endswith(suffix):
            return f"The redirect_uri is not registered: it must end in {suffix}."
        return None

    def _malformed(self, parameters: dict[str, str]) -> OAuthError | None:
        if parameters.get("response_type") != "code":
            return OAuthError("unsupported_response_type", "response_type must be code.")
        facts, asked = self.provider.oauth, parameters.get("scope")
        if facts.scopes is None and asked is not None:
            return OAuthError("invalid_scope", "Scopes cannot be requested here: leave the parameter out.")
        if facts.scopes is not None and not set() < set((asked or "").split()) <= set(facts.scopes):
            return OAuthError("invalid_scope", f"Ask for scopes, of these: {' '.join(facts.scopes)}.")
        if not facts.requires_pkce and "code_challenge" not in parameters:
            return None
        if parameters.get("code_challenge_method") != "S256":
            return OAuthError("invalid_request", "PKCE with code_challenge_method=S256 is required.")
        if not CHALLENGE.fullmatch(parameters.get("code_challenge", "")):
            return OAuthError("invalid_request", "code_challenge is missing or malformed.")
        return None

    def _back(self, parameters: dict[str, str], **answer: str) -> Response:
        state = {"state": parameters["state"]} if "state" in parameters else {}
        issuer = {"iss": self.issuer} if self.provider.oauth.sends_issuer else {}
        target = URL(parameters["redirect_uri"]).include_query_params(**answer, **state, **issuer)
        return RedirectResponse(target, status_code=303)

    def _problem(self, problem: str) -> Response:
        return page("problem.html", self.provider.title, status=400, problem=problem)

    # -- tokens ----------------------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        return await self._for_client(request, self._tokens)

    async def revoke(self, request: Request) -> Response:
        response = await self._for_client(request, self._revoked)
        self._log("revoke", {}, response.status_code)
        return response

    async def introspect(self, request: Request) -> Response:
        response = await self._for_client(request, self._introspected)
        self._log("introspect", {}, response.status_code)
        return response

    def _tokens(self, form: dict[str, str]) -> dict[str, Any]:
        match form.get("grant_type"):
            case "authorization_code":
                proofs = ["code_verifier"] if self.provider.oauth.requires_pkce else []
                code, target, *_ = self._required(form, "code", "redirect_uri", *proofs)
                grant = self.grants.redeem(code, target, form.get("code_verifier") or None)
            case "refresh_token":
                grant = self.grants.rotate(*self._required(form, "refresh_token"))
            case _:
                raise OAuthError("unsupported_grant_type", "Use authorization_code or refresh_token.")
        access, refresh = self.grants.issue_tokens(grant, refreshed=form["grant_type"] == "refresh_token")
        return {
            "access_token": access,
            **({"refresh_token": refresh} if refresh else {}),
            **({"scope": " ".join(grant.scopes)} if grant.scopes else {}),
            "expires_in": self.grants.expires_in,
            "token_type": "bearer",
            **self.provider.token_extras(self.world.organization(grant.organization)),
        }

    def _revoked(self, form: dict[str, str]) -> dict[str, Any]:
        self.grants.revoke(*self._required(form, "token"))
        return {}

    def _introspected(self, form: dict[str, str]) -> dict[str, Any]:
        """Only `active`: all that one implementer saw of the real one."""
        return {"active": self.grants.is_active(*self._required(form, "token"))}

    async def _for_client(self, request: Request, work: Callable[[dict[str, str]], dict[str, Any]]) -> Response:
        """The answer to a form that the registered client has signed with its secret."""
        form = await self._form(request)
        try:
            self._authenticate(request, form)
            return JSONResponse(work(form), headers=NO_STORE)
        except OAuthError as error:
            refusal, status = {"error": error.code, "error_description": str(error)}, error.status
        except InvalidGrant as error:
            refusal, status = {"error": "invalid_grant", "error_description": str(error)}, 400
        return JSONResponse(refusal, status_code=status, headers=NO_STORE)

    async def _form(self, request: Request) -> dict[str, str]:
        if self.provider.oauth.revokes_json and request.url.path.endswith(self.provider.oauth.revoke_path):
            try:
                sent = json.loads(await request.body())
            except ValueError:
                sent = None
            return {name: str(value) for name, value in sent.items()} if isinstance(sent, dict) else {}
        return {name: str(value) for name, value in (await request.form()).items()}

    def _authenticate(self, request: Request, form: dict[str, str]) -> None:
        """In the ways that this provider takes, and in one of them only."""
        given = {"post": (form.get("client_id", ""), form.get("client_secret", "")), "basic": _basic(request)}
        used = [way for way, (_, secret) in given.items() if secret]
        accepted = len(used) == 1 and used[0] in self.provider.oauth.client_auth
        known = accepted and secrets.compare_digest(
            "\0".join(given[used[0]]).encode(), f"{CLIENT_ID}\0{CLIENT_SECRET}".encode()
        )
        if not known:
            ways = " or ".join(f"client_secret_{way}" for way in self.provider.oauth.client_auth)
            raise OAuthError("invalid_client", f"Send client_id and client_secret by {ways}.", status=401)

    def _required(self, form: dict[str, str], *names: str) -> list[str]:
        if missing := [name for name in names if not form.get(name)]:
            raise OAuthError("invalid_request", f"Missing: {', '.join(missing)}.")
        return [form[name] for name in names]

    def _with_faults(self, app: ASGIApp) -> Intercepted:
        return Intercepted(
            app, self.provider, self.grants, self.faults, self.calls, self.challenge, describe=_token_request
        )

    def _log(self, endpoint: str, arguments: dict[str, Any], status: int) -> None:
        self.calls.add(self.provider.name, {"endpoint": endpoint}, arguments, status)


def _basic(request: Request) -> tuple[str, str]:
    """The id and secret of an Authorization header (RFC 6749 §2.3.1); blanks when there is none."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return "", "malformed"
    return unquote(name), unquote(secret)


def _token_request(scope: Scope, body: bytes) -> Asked:
    """Of what was posted only the kind of grant may be told on: the rest is secrets."""
    form = dict(parse_qsl(body.decode("utf-8", "replace")))
    return Asked({"endpoint": "token"}, "token", {"grant_type": form.get("grant_type", "")})
