"""`[pbx.NAME.extra]` of a XiVO: its agents and their accounts, and what its documents leave open."""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from dialer.errors import SettingsError
from dialer.pbx.own_words import OwnWords, read, users_of
from dialer.settings import PbxSettings


class XivoOptions(OwnWords):
    """Options of a XiVO. `agents`: "1015=agent15, 1016=agent16", agent number and XiVO user of each."""

    login_path: str = "/xuc/api/2.0/auth/login"
    socket_path: str = "/xuc/api/2.0/cti"
    variable: str = Field("dref", pattern=r"^[A-Za-z0-9_]{1,30}$")  # comes back as USR_<variable>
    # What `EventDialing` means: "customer", that the agent's phone was taken and the customer's rings. Where nobody
    # knows, a call that nobody takes counts as not answered by the customer.
    dialing_means: Literal["unknown", "agent", "customer"] = "unknown"
    # Seconds we wait for a call's first event. None in time is no harm: the listener hears it when it comes.
    confirm_within: float = Field(4.0, gt=0, le=30)
    # XiVO's callback lists that we work through, by name or uuid, and the campaign of each: "Wisconsin=spring, ..."
    callback_lists: str = ""
    callback_poll: float = Field(10.0, ge=1, le=3600)  # seconds between two reads of them
    take_within: float = Field(5.0, gt=0, le=9)  # seconds until a request that was taken must be told as taken
    # Whether what an agent says to the dialer (log in, log out, pause, ready) is told XiVO as well.
    agent_words: Literal["told", "kept"] = "told"
    statistics_every: float = Field(30.0, ge=0, le=3600)  # seconds between two reads of XiVO's figures; 0: none
    time_zone: str = "UTC"  # of XiVO's midnight, at which its figures begin again
    # The configuration server, which takes requests as a CSV file. What its address is below `config_url`, the
    # documents tell of later releases alone.
    config_url: str = ""
    config_token_env: str = ""
    config_token_file: str = ""
    config_lists_path: str = "/configmgt/api/1.0/callback_lists"
    config_import_path: str = "/configmgt/api/1.0/callback_lists/{uuid}/callback_requests/csv"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value[:40]!r} is no time zone: write it as Europe/Paris") from None
        return value

    @property
    def bound_lists(self) -> dict[str, str]:
        """Name or uuid of a list -> campaign; ValueError for what is no pair."""
        found = {}
        for part in filter(None, (part.strip() for part in self.callback_lists.split(","))):
            name, sign, campaign = (word.strip() for word in part.rpartition("="))
            if not sign or not name or not campaign:
                raise ValueError(f'{part[:60]!r} is no pair: write LIST=CAMPAIGN, for example "Wisconsin=spring"')
            found[name] = campaign
        return found


def read_options(name: str, settings: PbxSettings) -> XivoOptions:
    """Read the options of PBX `name`; SettingsError names what is wrong."""
    options = read(XivoOptions, name, settings)
    seen: dict[str, str] = {}
    for number, login in logins_of(name, options).items():
        if login in seen:
            raise SettingsError(
                f"pbx.{name}.extra.agents: {seen[login]} and {number} have the same XiVO user {login[:30]!r}; "
                "a call is made on its user's own phone, so each agent needs one"
            )
        seen[login] = number
    why = ""
    try:
        if options.bound_lists and not options.agents:
            why = "agents must be named too: it is they who call"
    except ValueError as exc:
        why = str(exc)
    if why:
        raise SettingsError(f"pbx.{name}.extra.callback_lists: {why}")
    return options


def logins_of(name: str, options: XivoOptions) -> dict[str, str]:
    """Agent number -> XiVO user."""
    return {user.id: user.name for user in users_of(name, options)}
