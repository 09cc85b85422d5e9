"""The settings as they came out: each value with its origin, and no secret among them."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dialer.settings import Settings
from dialer.settings_reading import PREFIX

_SECRET_WORDS = ("token", "secret", "password", "passwd", "key")


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting. `origin` is `default`, `file`, `environment NAME`, or `program` when none of them says so."""

    name: str
    value: Any
    origin: str


def effective(settings: Settings, path: Path | None, environ: Mapping[str, str]) -> list[Effective]:
    """Return every setting in the order of the model, each PBX at the end."""
    given = _file(path)
    found: list[Effective] = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if name in ("pbx", "directory", "pulls"):
            continue
        if isinstance(value, BaseModel):
            found += _section(name, value, given.get(name, {}), f"{PREFIX}{name}_", environ)
        else:
            origin = _origin(f"{PREFIX}{name}", name in given, _is_default(settings, name), environ)
            found.append(Effective(name, _shown(name, value, environ), origin))
    for name, pbx in settings.pbx.items():
        section = given.get("pbx", {}).get(name, {}) if isinstance(given.get("pbx"), dict) else {}
        found += _section(f"pbx.{name}", pbx, section, f"{PREFIX}pbx_{name}_", environ)
    for name, directory in settings.directory.items():
        section = given.get("directory", {}).get(name, {}) if isinstance(given.get("directory"), dict) else {}
        found += _section(f"directory.{name}", directory, section, f"{PREFIX}directory_{name}_", environ)
    for name, pull in settings.pulls.items():
        written = given.get("import", {}).get(name, {}) if isinstance(given.get("import"), dict) else {}
        found += _section(f"import.{name}", pull, written, f"{PREFIX}import_{name}_", environ)
    return found


def _section(
    prefix: str, section: BaseModel, given: Any, variable: str, environ: Mapping[str, str]
) -> Iterator[Effective]:
    written = given if isinstance(given, dict) else {}
    for field in type(section).model_fields:
        origin = _origin(f"{variable}{field}", field in written, _is_default(section, field), environ)
        yield Effective(f"{prefix}.{field}", _shown(field, getattr(section, field), environ), origin)


def _origin(variable: str, in_file: bool, is_default: bool, environ: Mapping[str, str]) -> str:
    variable = variable.upper().replace("-", "_")
    if environ.get(variable) is not None:
        return f"environment {variable}"
    if in_file:
        return "file"
    return "default" if is_default else "program"


def _is_default(model: BaseModel, field: str) -> bool:
    info = type(model).model_fields[field]
    return not info.is_required() and getattr(model, field) == info.get_default(call_default_factory=True)


def _shown(name: str, value: Any, environ: Mapping[str, str]) -> Any:
    """A value as it may be shown. References to secrets are told whether they lead somewhere."""
    if name.endswith("_env") and value:
        return f"{value} ({'set' if environ.get(value, '').strip() else 'not set'})"
    if name.endswith("_file") and value:
        return f"{value} ({'there' if Path(value).is_file() else 'not there'})"
    if name == "extra" and isinstance(value, dict):
        return {key: "***" if _is_secret(key) else text for key, text in value.items()}
    if name == "url":
        return without_password(str(value))
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def without_password(url: str) -> str:
    """The address with what only its owner should read starred out: the password, and secrets of the query."""
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return "***"
    if ":" in user:
        user = user.partition(":")[0] + ":***"
    query = "&".join(_query_part(part) for part in parts.query.split("&")) if parts.query else ""
    if (f"{user}{at}{host}", query, "") == (parts.netloc, parts.query, parts.fragment):
        return url  # as it was written: putting it together again would lose the slashes of unix:///
    return urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, query, ""))


def _query_part(part: str) -> str:
    key, equals, _ = part.partition("=")
    return f"{key}=***" if equals and _is_secret(key) else part


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # whoever loaded the settings has complained about it
