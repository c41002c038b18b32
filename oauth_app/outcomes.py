"""How a connection attempt can end: a fixed list of flags for the address bar, each with what a person is told.

Nothing that a provider or a query string says is ever shown.
"""

from enum import Enum


class Outcome(Enum):
    """An ending that is no success: its flag and its sentence."""

    CANCELLED = ("cancelled", "You cancelled at {provider}. Press Connect when you want to go on.")
    EXPIRED = ("expired", "The link to {provider} was already used or has expired. Press Connect to start again.")
    MISMATCH = (
        "mismatch",
        "The answer from {provider} did not fit what this browser had asked for, so it was not used. Press Connect "
        "to start again, and finish in the same browser.",
    )
    NOT_ADMIN = ("not_admin", "Only an admin of the organisation can connect {provider}.")
    REFUSED = ("refused", "{provider} refused the connection. Press Connect to try again.")
    FAILED = ("failed", "Connecting {provider} failed. The card says why and what to do.")

    def __init__(self, flag: str, sentence: str) -> None:
        self.flag = flag
        self.sentence = sentence


class Refused(Exception):
    """The attempt ends here."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.flag)
        self.outcome = outcome


def sentence_for(flag: str, title: str) -> str | None:
    """What to say about a flag of the address bar; None when it is none of ours."""
    for outcome in Outcome:
        if outcome.flag == flag:
            return outcome.sentence.format(provider=title)
    return None
