"""`[pbx.NAME.extra]` of a XiVO: its agents and their accounts, and what its documents leave open."""

from typing import Literal

from pydantic import Field

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
    return options


def logins_of(name: str, options: XivoOptions) -> dict[str, str]:
    """Agent number -> XiVO user."""
    return {user.id: user.name for user in users_of(name, options)}
