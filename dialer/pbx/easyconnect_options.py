"""The options of an EasyConnect: what its manual leaves open is said here, and never guessed."""

from typing import Literal

from pydantic import Field

from dialer.pbx.own_words import OwnWords

_PATH = r"^[A-Za-z0-9._~/-]{0,100}$"


class EasyConnectOptions(OwnWords):
    """`[pbx.NAME.extra]` of kind easyconnect."""

    # The manual prints a call with everything in its query, and no method.
    method: Literal["GET", "POST"] = "GET"
    makecall_path: str = Field("rcc/makecall", pattern=_PATH)
    # Not in the manual; from the site's own OpenAPI file, or by hand. Empty: calls cannot be ended from here.
    hang_up_path: str = Field("", pattern=_PATH)
    hang_up_method: Literal["GET", "POST", "DELETE"] = "GET"
    hang_up_field: str = Field("callId", pattern=r"^[A-Za-z0-9_]{1,40}$")
    openapi_file: str = ""  # the site's own file, saved: the calls beyond makecall are taken from it
    openapi_url: str = ""  # where `dialer pbx check` reads it; empty: beside the API, as the manual says
    # Of an outgoing call: whose phone `ringing` speaks of. The manual does not say.
    ringing_means: Literal["customer", "agent", "unknown"] = "unknown"
