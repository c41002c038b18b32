"""The pages: connecting providers, seeing what they sync, asking for proposals. Flask is imported here alone."""

from flask import Flask

from boots_pipeline.settings import Settings
from boots_pipeline.settings import settings as settings_of_environment
from oauth_app.connect import connect
from oauth_app.disconnecting import disconnecting
from oauth_app.health import health
from oauth_app.integrations import integrations
from oauth_app.login import login
from oauth_app.problems import explain
from oauth_app.proposals import proposals
from oauth_app.security import secure
from oauth_app.services import open_services
from oauth_app.session import guard
from oauth_app.wording import add_filters


def create_app(settings: Settings | None = None) -> Flask:
    """The app, ready to serve. Raises ConfigError with what to set when it must not start."""
    told = settings or settings_of_environment()
    app = Flask(__name__)
    app.extensions["boots"] = open_services(told)
    secure(app, told)
    guard(app)
    explain(app)
    add_filters(app)
    for blueprint in (login, connect, disconnecting, integrations, proposals, health):
        app.register_blueprint(blueprint)
    return app
