"""A person at the browser, over HTTP: signs in, connects, waits, asks for a proposal. What the demo does, a user can
do."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from selectolax.lexbor import LexborHTMLParser

from boots_pipeline.errors import BootsError
from boots_pipeline.resources.certificates import certificates

T = TypeVar("T")


class VisitError(BootsError):
    """A page did not do what it should have."""

    error_class = "visit"


class Visitor:
    """Somebody with a session at the pages."""

    def __init__(self, web: str) -> None:
        self._web = httpx.Client(base_url=web, timeout=30, headers={"Origin": web}, verify=certificates())
        self._token = ""

    def close(self) -> None:
        """Leave."""
        self._web.close()

    def sign_in(self, email: str) -> str:
        """Sign in at the local login; returns the organisation's slug."""
        answer = self._web.post("/login", data={"email": email})
        _expect(answer, 303, "signing in")
        session = self._json("GET", "/api/session")
        self._token = session["csrf_token"]
        return str(session["organization"]["slug"])

    def connect(self, provider: str, account: str) -> None:
        """Connect a provider: to its consent page, agree there, and come back through the callback."""
        url = self._json("POST", f"/api/integrations/{provider}/connect", json={})["authorization_url"]
        with httpx.Client(timeout=30, verify=certificates()) as browser:
            page = _expect(browser.get(url), 200, "the consent page")
            form = LexborHTMLParser(page.text).css_first("form")
            if form is None:
                raise VisitError("The consent page has no form.")
            fields: dict[str, str] = {
                field.attributes["name"] or "": field.attributes.get("value") or ""
                for field in form.css("input[type=hidden]")
                if field.attributes.get("name")
            }
            agreed = browser.post(
                httpx.URL(url).join(form.attributes.get("action") or ""),
                data={**fields, "account": account, "decision": "allow"},
            )
            back = _expect(agreed, 303, "agreeing to the connection").headers["location"]
        landed = _expect(self._web.get(back), 303, "coming back from the provider").headers["location"]
        if "connected=" not in landed:
            raise VisitError(f"The connection was not made: {landed}")

    def card(self, provider: str) -> dict[str, Any]:
        """What the settings page shows of a provider."""
        cards = self._json("GET", "/api/integrations")["integrations"]
        return next(dict(card) for card in cards if card["provider"] == provider)

    def ask_for_sync(self, provider: str, kind: str) -> str:
        """Ask for a sync, `delta` or `full`; returns its job."""
        return str(self._json("POST", f"/api/integrations/{provider}/sync", json={"kind": kind})["job_id"])

    def ask_for_proposal(self, title: str, brief: str) -> str:
        """Ask for a proposal; returns its id."""
        return str(self._json("POST", "/api/proposals", json={"title": title, "brief": brief})["id"])

    def proposal(self, proposal_id: str) -> dict[str, Any]:
        """A proposal as its page shows it."""
        return dict(self._json("GET", f"/api/proposals/{proposal_id}"))

    def _json(self, method: str, path: str, **sent: Any) -> Any:
        answer = self._web.request(method, path, headers={"X-CSRF-Token": self._token}, **sent)
        if answer.status_code >= 400:
            raise VisitError(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def wait_for(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Look until there is something. Raises VisitError when there is nothing in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.25)
    raise VisitError(f"{what} did not happen within {seconds:.0f} s; .boots/logs/ says more.")


def _expect(answer: httpx.Response, status: int, doing: str) -> httpx.Response:
    if answer.status_code != status:
        raise VisitError(f"{doing} answered {answer.status_code}, not {status}: {answer.text[:200]}")
    return answer
