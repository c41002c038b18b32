"""What every answer and every cookie must carry: headers, content policy, session settings, limits, trusted hosts."""

from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import SecurityError
from werkzeug.sansio.utils import host_is_trusted

from boots_pipeline.providers import PROVIDERS
from boots_pipeline.settings import Settings
from oauth_app.health import health
from oauth_app.session import SESSION_LIFE

_MAX_BODY = 64 * 1024
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Not no-referrer: a form would then post `Origin: null`.
    "Referrer-Policy": "same-origin",
}


def secure(app: Flask, settings: Settings) -> None:
    """Set what Flask leaves open."""
    base = urlsplit(settings.public_base_url)
    https = base.scheme == "https"
    app.config.update(
        SECRET_KEY=settings.required("secret_key"),
        SESSION_COOKIE_NAME="__Host-boots" if https else "boots",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # Strict is not sent when the provider sends the browser back
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=SESSION_LIFE,
        MAX_CONTENT_LENGTH=_MAX_BODY,
        MAX_FORM_MEMORY_SIZE=_MAX_BODY,
        MAX_FORM_PARTS=50,
    )

    @app.before_request
    def refuse_other_hosts() -> None:
        # Whoever watches us asks by the address of this machine.
        if request.blueprint != health.name and not host_is_trusted(request.host, [base.hostname or ""]):
            raise SecurityError

    app.after_request(_protect)
    if https:
        app.after_request(_keep_to_https)


def _protect(response: Response) -> Response:
    for name, value in {**_HEADERS, "Content-Security-Policy": _content_policy()}.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def _keep_to_https(response: Response) -> Response:
    response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _content_policy() -> str:
    # Browsers hold a form's redirects to form-action too, and a provider redirects further within its own hosts.
    targets = (urlsplit(provider.oauth.authorization_url) for provider in PROVIDERS.values())
    local = sorted({f"{target.scheme}://{target.netloc}" for target in targets if target.scheme == "http"})
    forms = " ".join(["'self'", "https:", *local])
    return f"default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action {forms}"
