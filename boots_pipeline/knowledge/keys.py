"""Client keys, and what each can prove.

`hubspot.company:512` is a strong key: a provider's own identifier of a client. `domain:`, `email:` and `name:` are
hints: two clients may share a domain or a name, and a free-mail domain says nothing at all.
"""

from boots_pipeline.knowledge.alike import plain_name

# Mail for anybody: an address there says who wrote, never which firm.
FREE_MAIL = frozenset({
    "126.com", "163.com", "aim.com", "aol.com", "bigpond.com", "btinternet.com", "comcast.net", "duck.com",
    "fastmail.com", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de", "gmx.net",
    "googlemail.com", "hey.com", "hotmail.co.uk", "hotmail.com", "hotmail.fr", "icloud.com", "laposte.net",
    "libero.it", "live.co.uk", "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com",
    "orange.fr", "outlook.com", "pm.me", "proton.me", "protonmail.com", "qq.com", "rocketmail.com", "sky.com",
    "t-online.de", "talktalk.net", "tuta.io", "verizon.net", "virginmedia.com", "web.de", "yahoo.co.in",
    "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com", "zoho.com"
})  # fmt: skip

_SHORTEST_NAME = 4
_HINTS = ("domain", "email", "name")


def kind(key: str) -> str:
    """What a key is of: `hubspot.company`, `domain`, `email`."""
    return key.partition(":")[0]


def value(key: str) -> str:
    """The identifier, domain or address itself."""
    return key.partition(":")[2]


def is_strong(key: str) -> bool:
    """Whether it is a provider's identifier."""
    return bool(value(key)) and kind(key) not in _HINTS


def own_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Of a client's record: its own key, then those of the records that the provider merged into it."""
    if not keys or not is_strong(keys[0]):
        return ()
    return tuple(dict.fromkeys(key for key in keys if kind(key) == kind(keys[0]) and value(key)))


def domain(key: str) -> str | None:
    """The domain that a hint speaks of; None where it speaks of none, or of anybody's."""
    told = value(key).strip().lower()
    if kind(key) == "email":
        told = told.rpartition("@")[2]
    elif kind(key) != "domain":
        return None
    told = told.removeprefix("www.")
    return told if "." in told and told not in FREE_MAIL else None


def email(key: str) -> str | None:
    """The address that a hint is."""
    told = value(key).strip().lower()
    return told if kind(key) == "email" and "@" in told else None


def name(key: str) -> str | None:
    """The client's name that a hint is, plain; one word of a few letters may be anything, and is none."""
    told = plain_name(value(key)) if kind(key) == "name" else ""
    return told if len(told) >= _SHORTEST_NAME else None
