"""What a PBX does not tell, said by its settings: `[pbx.NAME.extra]` read strictly, its agents and its lines."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialer.errors import SettingsError
from dialer.pbx.base import Gateway, PbxUser, Presence
from dialer.settings import PbxSettings

# Where no number is set the agents are the limit, for each call has one of them. Lines are counted every few seconds,
# and a call that has just ended must not keep its agent from the next.
LINES_PER_AGENT = 4
OUTSIDE = "1"  # the one gateway there is


class OwnWords(BaseModel):
    """Options of every PBX that tells neither its users nor its lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: str = ""  # "215=Anna Rossi, 216=Bert": extension and name
    lines: int = Field(0, ge=0, le=10_000)  # outside lines we may use; 0: as many as agents
    ca_file: str = ""


_O = TypeVar("_O", bound=OwnWords)


def read(kind: type[_O], name: str, settings: PbxSettings) -> _O:
    """Read the options of PBX `name`; SettingsError names every wrong one."""
    why = ""
    try:
        found = kind.model_validate(settings.extra)
        users_of(name, found)
        return found
    except ValidationError as exc:
        wrong = [f"pbx.{name}.extra.{'.'.join(map(str, one['loc']))}: {_said(one, kind)}" for one in exc.errors()]
        why = "; ".join(wrong)
    raise SettingsError(why)


def _said(error: object, kind: type[OwnWords]) -> str:
    assert isinstance(error, dict)
    if error["type"] == "extra_forbidden":
        return f"there is no such option; there are {', '.join(kind.model_fields)}"
    return str(error["msg"])


def users_of(name: str, options: OwnWords) -> Sequence[PbxUser]:
    """Return the agents that the settings list; a user's id is the extension."""
    found: dict[str, PbxUser] = {}
    for part in options.agents.split(","):
        extension, _, called = (word.strip() for word in part.partition("="))
        if not extension:
            continue
        if not (extension.isascii() and extension.isdecimal() and len(extension) <= 15):
            raise SettingsError(
                f"pbx.{name}.extra.agents: {extension[:30]!r} is no extension; "
                'write extensions and names: agents = "215=Anna Rossi, 216=Bert"'
            )
        found[extension] = PbxUser(extension, called or extension, extension, Presence.UNKNOWN)
    return list(found.values())


def gateways_of(name: str, options: OwnWords) -> Sequence[Gateway]:
    """Return the lines that the settings allow, as one bundle; how many are busy is counted from our own calls."""
    lines = options.lines or LINES_PER_AGENT * len(users_of(name, options))
    return [Gateway(OUTSIDE, "outside lines", True, True, lines, 0)]
