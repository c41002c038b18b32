"""Whom a TLS connection is believed, read once a process: that takes 20 to 50 ms, and every conversation with a
provider has a client of its own."""

import ssl
from functools import cache

import httpx2


@cache
def certificates() -> ssl.SSLContext:
    """The context for every outgoing connection."""
    return httpx2.create_ssl_context()
