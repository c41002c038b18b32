"""Whether this process can do its work."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from oauth_app.services import services

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 when the database answers; otherwise the error page's 503."""
    with services().database.connection() as connection:
        connection.execute("select 1")
    return jsonify(status="ok")
