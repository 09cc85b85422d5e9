"""Secrets never become text: what is registered here is starred wherever it turns up."""

import json
import re
import threading
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

STARS = "***"
SHORTEST = 4  # a shorter "secret" would star half of every line; settings refuse such ones

_WORDS = r"(?:[\w-]*(?:token|password|passwd|apikey|api[_-]key|secret)|auth|authorization)"
# (what must be in the text, in small letters, for the shape to be looked for; the shape; how it is shown)
_SHAPES = (
    # /webhooks/<pbx>/<secret>, /ivr/<pbx>/<secret>
    ("/", re.compile(r"(/(?:webhooks|ivr)/[^/\s?#\"']+/)[^/\s?#\"'&,;)\]}>]+"), rf"\1{STARS}"),
    # token=..., password = '...', "apikey": "..."; the word may be the end of a longer one
    ("=", re.compile(rf"(?i)\b({_WORDS}\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,\"'<>)\]}}]+)"), rf"\1{STARS}"),
    (":", re.compile(rf"(?i)([\"']{_WORDS}[\"']\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"), rf'\1"{STARS}"'),
    # Authorization: Bearer ...
    ("bearer ", re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{STARS}"),
    ("basic ", re.compile(r"(?i)\b(basic\s+)[\w.~+/=-]{8,}"), rf"\1{STARS}"),
    # postgresql://user:password@host
    ("://", re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s/@\"']+(@)"), rf"\1{STARS}\2"),
)
NAMES = re.compile(rf"(?i)^{_WORDS}$")

_lock = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def register_secret(secret: SecretStr | str) -> None:
    """From now on no log line shows this value, nor its escaped or quoted forms."""
    value = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    if len(value) < SHORTEST:
        return
    global _pattern
    with _lock:
        _known.update(_forms(value))
        # The longest first, or the rest of a secret that begins with another one would be left standing.
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(_known, key=len, reverse=True)))


def redact(text: str) -> str:
    """Replace every registered secret, and everything that has the shape of one, by stars."""
    if _pattern is not None:
        text = _pattern.sub(STARS, text)
    small = text.lower()
    for marker, shape, starred in _SHAPES:
        if marker in small:
            text = shape.sub(starred, text)
    return text


def _forms(value: str) -> set[str]:
    """The value as it is, in a URL, in JSON, in a repr and escaped as our logs do it."""
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value)}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1], escape(value)}
    return {form for form in forms if len(form) >= SHORTEST}


# Control characters, and what turns or breaks lines without looking like it; lone surrogates cannot be written.
_UNSEEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    """Make foreign text inert: one line, no colours, no writing backwards."""
    return _UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return {10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
