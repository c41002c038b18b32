"""The PKCE verifier while a person is away at the provider: sealed in the database, under a key made of SECRET_KEY and
of the state, which only that person's address bar has. A copy of the database opens none, not even with our key."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from boots_pipeline.errors import ConfigError
from boots_pipeline.settings import Settings


def seal_verifier(verifier: str, state: str, settings: Settings) -> bytes:
    """The verifier, sealed."""
    return _fernet(state, settings).encrypt(verifier.encode())


def open_verifier(sealed: bytes, state: str, settings: Settings) -> str:
    """The verifier. Raises ConfigError when SECRET_KEY has changed meanwhile."""
    try:
        return _fernet(state, settings).decrypt(sealed).decode()
    except InvalidToken:
        raise ConfigError("SECRET_KEY has changed while you were away. Press Connect to start again.") from None


def _fernet(state: str, settings: Settings) -> Fernet:
    derive = HKDF(algorithm=SHA256(), length=32, salt=state.encode(), info=b"boots.pkce.v1")
    return Fernet(base64.urlsafe_b64encode(derive.derive(settings.required("secret_key").encode())))
