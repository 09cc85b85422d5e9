"""No other page may act in the name of who looks at ours (cross-site request forgery).

A browser that sends something must come from a page of ours, by its own word, and must give a token that only our pages
hold. Programs that are no browsers send neither a cookie nor where they come from; a client's token is proof enough,
since no browser sends one by itself.
"""

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.types import Scope

from campaigns.web.access import Access

FIELD = "csrf"  # of forms
HEADER = b"x-csrf-token"  # of scripts
SAFE = ("GET", "HEAD", "OPTIONS")

NOT_FROM_HERE = "The form must be sent from this server's own page. Open the page again and send it from there."
TOO_OLD = "The page this was sent from is too old: open it again and send it once more. Nothing was changed."


class Forgery:
    """Tells our own pages from others. The tokens of a process are good as long as it and the session last."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._key = secrets.token_bytes(32)

    def token(self, scope: Scope) -> str:
        """Return the token of whoever is served."""
        session = self._access.session_of(scope) if self._access.needs_token else ""
        return hmac.new(self._key, session.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def knows(self, scope: Scope, given: str) -> bool:
        """Whether this is the token, in constant time."""
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token(scope).encode())

    def trouble(self, scope: Scope) -> str:
        """Why a request that changes something is not even read; empty when it may be."""
        if not comes_from_us(scope):
            return NOT_FROM_HERE
        if scope["path"].startswith("/api/") and _is_browser(scope) and not self._access.client_of(scope):
            given = _header(scope, HEADER)
            return "" if self.knows(scope, given) else TOO_OLD
        return ""


def comes_from_us(scope: Scope) -> bool:
    """Whether a browser says that the request comes from a page of ours; it says nothing when it is no browser.

    Our pages tell nobody where they are (`no-referrer`), so a browser gives their origin as `null` with a form. Over
    https and on this machine it says `same-origin` all the same; elsewhere the token of the form decides.
    """
    site = _header(scope, b"sec-fetch-site")
    if site:
        return site == "same-origin"
    origin = _header(scope, b"origin")
    return origin in ("", "null") or urlsplit(origin).netloc == _header(scope, b"host")


def _is_browser(scope: Scope) -> bool:
    told = {name for name, _ in scope["headers"]}
    return not told.isdisjoint((b"origin", b"sec-fetch-site", b"cookie"))


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
