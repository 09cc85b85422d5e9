"""The site's own OpenAPI file: which remote control calls this installation has, and by what names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from dialer.errors import SettingsError

MAX_FILE = 2 * 1024 * 1024
_MARK = "/rcc/"
_ENDS = ("disconnect", "clear", "end", "hangup", "release", "drop")
_METHODS = ("get", "post", "delete", "put", "patch")


class NoOpenApi(Exception):
    """The text is no OpenAPI description. Its words say what is wrong."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the remote control part."""

    path: str  # below the API's address: rcc/makecall
    method: str
    fields: tuple[str, ...]  # of its query

    def __str__(self) -> str:
        return f"{self.method} {self.path}({', '.join(self.fields)})"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the file tells."""

    operations: tuple[Operation, ...]

    @property
    def makecall(self) -> Operation | None:
        """The call that starts a call."""
        found = [one for one in self.operations if one.path.rsplit("/", 1)[-1].lower() == "makecall"]
        return found[0] if len(found) == 1 else None

    @property
    def hang_up(self) -> Operation | None:
        """The one call that can only be the one that ends a call; None when there is none, or more than one."""
        found = [
            one
            for one in self.operations
            if one.path.rsplit("/", 1)[-1].lower().startswith(_ENDS) and call_id_field(one) is not None
        ]
        return found[0] if len(found) == 1 else None


def call_id_field(operation: Operation) -> str | None:
    """Return the field that carries the id of a call, as this operation spells it."""
    return next((field for field in operation.fields if field.lower() == "callid"), None)


def learn(text: bytes) -> Learnt:
    """Read an OpenAPI file, YAML or JSON; NoOpenApi says why it cannot be used."""
    if len(text) > MAX_FILE:
        raise NoOpenApi(f"it is larger than {MAX_FILE // 1024 // 1024} MiB")
    why, told = "", None
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        why = f"it is no YAML ({type(exc).__name__})"
    if why or not isinstance(told, dict) or not isinstance(told.get("paths"), dict):
        raise NoOpenApi(why or "it has no `paths`: an OpenAPI description is wanted")
    found = []
    for path, item in list(told["paths"].items())[:1000]:
        at = f"/{path}".find(_MARK) if isinstance(path, str) else -1
        if at < 0 or not isinstance(item, dict):
            continue
        shared = _fields(item.get("parameters"))
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, dict):
                fields = tuple(dict.fromkeys((*shared, *_fields(operation.get("parameters")))))
                found.append(Operation(f"/{path}"[at + 1 :], method.upper(), fields))
    if not found:
        raise NoOpenApi("it names no remote control call (a path with /rcc/ in it)")
    return Learnt(tuple(found))


def _fields(parameters: Any) -> tuple[str, ...]:
    if not isinstance(parameters, list):
        return ()
    return tuple(
        str(one["name"])[:40]
        for one in parameters
        if isinstance(one, dict) and one.get("in") == "query" and isinstance(one.get("name"), str)
    )


def load(name: str, file: str) -> Learnt:
    """Read the file the settings name; SettingsError says what is wrong with it."""
    place, why = f"pbx.{name}.extra.openapi_file", ""
    try:
        return learn(Path(file).read_bytes())
    except OSError as exc:
        why = f"cannot read {file}: {exc.strerror}"
    except NoOpenApi as exc:
        why = f"{file}: {exc}"
    raise SettingsError(f"{place}: {why}")
