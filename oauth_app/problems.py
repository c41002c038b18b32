"""What went wrong, as a sentence: a page for people, JSON for programs, and never more than we may show."""

import logging
from types import TracebackType

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, SecurityError

from boots_pipeline.errors import BootsError, ConfigError, DatabaseError, InfraError, RateLimited, Transient
from oauth_app.services import services

logger = logging.getLogger(__name__)

_GENERIC = "Something went wrong on our side. It is in the log; please try again."
_STATUSES: tuple[tuple[type[BootsError], int], ...] = (
    (RateLimited, 503),
    (Transient, 502),
    (InfraError, 503),
    (ConfigError, 503),
)
# What the database refuses, by SQLSTATE.
_REFUSALS = {
    "42501": (403, "You are not allowed to do this. Ask an admin of your organisation."),
    "55P03": (503, "This is busy at the moment. Try again in a few seconds."),
    "BT001": (409, "The connection is not active. Connect it first."),
    "BT003": (429, "Too many connections are under way. Finish one, or wait ten minutes."),
}


def wants_json() -> bool:
    """Whether the answer goes to a program: what it accepts decides, and where it says nothing, the path."""
    offers = ["application/json", "text/html"]
    if not request.path.startswith(("/api/", "/auth/")):
        offers.reverse()
    return request.accept_mimetypes.best_match(offers, offers[0]) == "application/json"


def explain(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(SecurityError, _strange_host)
    app.register_error_handler(BootsError, _known)
    app.register_error_handler(Exception, _unknown)


def _answer(status: int, sentence: str) -> ResponseReturnValue:
    if wants_json():
        return jsonify(error=sentence), status
    return render_template("problem.html", status=status, sentence=sentence), status


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error.get_response()
    return _answer(error.code, error.description or error.name)


def _strange_host(error: SecurityError) -> ResponseReturnValue:
    # No template here: without a host that we trust there are no addresses to put into one.
    place = services().settings.public_base_url
    return Response(f"These pages are at {place}, and under no other name.\n", 400, mimetype="text/plain")


def _known(error: BootsError) -> ResponseReturnValue:
    if isinstance(error, DatabaseError):
        if error.sqlstate in _REFUSALS:
            return _answer(*_REFUSALS[error.sqlstate])
        logger.error("%s", error)
        return _answer(500, _GENERIC)
    logger.warning("%s: %s", type(error).__name__, error)
    return _answer(next((status for kind, status in _STATUSES if isinstance(error, kind)), 500), str(error))


def _unknown(error: Exception) -> ResponseReturnValue:
    # Where it happened, without its text: that may hold row data or a token.
    logger.error("%s at %s %s", type(error).__name__, request.method, request.endpoint, exc_info=_where(error))
    return _answer(500, _GENERIC)


def _where(error: Exception) -> tuple[type[Exception], Exception, TracebackType | None]:
    return Exception, Exception("its text is not logged"), error.__traceback__
