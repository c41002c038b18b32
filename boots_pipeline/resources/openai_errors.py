"""What the OpenAI SDK raises, in our classes. The server's own text stays behind: it may repeat what we sent."""

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from boots_pipeline.errors import BadItem, ConfigError, RateLimited, Transient

_LONGEST_WAIT = 3600.0
_USUAL_WAIT = 30.0


@contextmanager
def safe_openai_errors(server: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; `server` says which one failed ("embedding", "language model")."""
    try:
        yield
    except openai.RateLimitError as error:
        if error.code == "insufficient_quota":
            raise ConfigError(f"The account of the {server} server has no quota left.") from None
        raise RateLimited(f"The {server} server asks us to wait.", _retry_after(error)) from None
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise ConfigError(f"The {server} server refuses the key. Check OPENAI_API_KEY.") from None
    except openai.NotFoundError:
        raise ConfigError(
            f"The {server} server does not know the model or the address. "
            "Check EMBEDDING_MODEL, LANGUAGE_MODEL and OPENAI_BASE_URL."
        ) from None
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        raise BadItem(f"The {server} server does not accept the text.") from None
    except openai.APITimeoutError:
        raise Transient(f"The {server} server did not answer in time.") from None
    except openai.APIConnectionError:
        raise Transient(f"The {server} server cannot be reached.") from None
    except openai.APIStatusError as error:
        raise Transient(f"The {server} server failed (HTTP {error.status_code}).") from None
    except openai.OpenAIError:
        raise Transient(f"The {server} server's answer could not be read.") from None


def _retry_after(error: openai.APIStatusError) -> float:
    try:
        told = float(error.response.headers.get("retry-after", _USUAL_WAIT))
    except ValueError:
        told = _USUAL_WAIT
    return min(max(told, 1.0), _LONGEST_WAIT)
