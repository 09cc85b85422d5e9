"""configs/*.toml and the environment into one frozen `Settings`; every wrong value is named at once.

Order of strength: the environment (`DIALER_WEB_PORT`, `DIALER_PBX_MAIN_URL`), then the file given by
`--config` or `DIALER_CONFIG`, then the defaults of `dialer/settings.py`.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dialer.errors import SettingsError
from dialer.settings import DirectorySettings, PbxSettings, Settings

PREFIX = "DIALER_"


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (if any) and the environment; SettingsError names every wrong value."""
    environ = os.environ if environ is None else environ
    if path is None and environ.get("DIALER_CONFIG"):
        path = Path(environ["DIALER_CONFIG"])
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_file(path)
    _overlay_environment(values, environ)
    try:
        return Settings.model_validate(values)
    except ValidationError as exc:
        raise SettingsError(_sentences(exc, path, environ)) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(
            f"settings file {path}: {exc.strerror}; give another with --config or DIALER_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"settings file {path} is not TOML: {exc}") from None


# Variables of the command line and of other parts; they are not settings.
_NOT_SETTINGS = {"DIALER_CONFIG", "DIALER_COMPLETE"}
# Sections of which there are several, each with a name of its own.
_NAMED: dict[str, type[BaseModel]] = {"pbx": PbxSettings, "directory": DirectorySettings}


def _overlay_environment(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    for section, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for field, about in kind.model_fields.items():
                text = environ.get(f"{PREFIX}{section}_{field}".upper())
                if text is not None:
                    _table(values, section)[field] = _listed(text) if _is_list(about) else text
        elif section not in ("pbx", "directory", "pulls") and (text := environ.get(f"{PREFIX}{section}".upper())):
            values[section] = text
    for section, model in _NAMED.items():
        for name, table in list(_table(values, section).items()) if values.get(section) else []:
            if not isinstance(table, dict):
                continue
            for field, info in model.model_fields.items():
                text = environ.get(f"{PREFIX}{section}_{name}_{field}".upper().replace("-", "_"))
                if text is not None:
                    table[field] = _listed(text) if _is_list(info) else text


def _is_list(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("tuple")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _table(values: dict[str, Any], name: str) -> dict[str, Any]:
    table = values.setdefault(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{name} must be a section, written [{name}]")
    return table


def _sentences(exc: ValidationError, path: Path | None, environ: Mapping[str, str]) -> str:
    lines, in_file = [], False
    for error in exc.errors():
        place = ".".join(str(part) for part in error["loc"])
        if (variable := _variable(error["loc"], environ)) is None:
            in_file = True
        else:
            place += f" (environment {variable})"
        if error["type"] == "extra_forbidden":
            lines.append(f"  {place}: there is no such setting{_suggestion(error['loc'])}")
        elif error["type"] == "missing":
            lines.append(f"  {place}: is missing")
        else:
            told = str(error["msg"]).removeprefix("Value error, ")
            given = error.get("input")
            # An address may carry a password; it is shown nowhere.
            secret = "url" in str(error["loc"][-1])
            shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) and not secret else ""
            lines.append(f"  {place}: {told}{shown}")
    where = f"settings ({path})" if path and in_file else "settings (environment)"
    count = "one value is wrong" if len(lines) == 1 else f"{len(lines)} values are wrong"
    return f"{where}: {count}\n" + "\n".join(lines)


def _variable(loc: tuple[int | str, ...], environ: Mapping[str, str]) -> str | None:
    """Return the variable that gave the value; None when it is the file's, or nobody's."""
    depth = 3 if loc and loc[0] in _NAMED else 2
    name = (PREFIX + "_".join(str(part) for part in loc[:depth])).upper().replace("-", "_")
    if len(loc) == 1:
        return name if environ.get(name) else None  # an empty one is passed over
    return name if name in environ else None


def _suggestion(loc: tuple[int | str, ...]) -> str:
    model: Any = Settings
    for part in loc[:-1]:
        if model is Settings and part in _NAMED:
            model = _NAMED[part]
        elif part in getattr(model, "model_fields", {}):
            model = getattr(model.model_fields[part], "annotation", None)
    fields = getattr(model, "model_fields", {})
    near = difflib.get_close_matches(str(loc[-1]), list(fields), n=1)
    return f"; did you mean {near[0]}?" if near else ""
