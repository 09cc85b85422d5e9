"""The PBXs we speak to: one line for each kind. It imports nothing of ours, so settings and commands may ask freely."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One maker's PBX: where its adapter is, and what must be known of it before it is loaded."""

    adapter: str  # "module:class"
    secret: str = ""  # what its token is called at the maker's; empty: it needs none
    streams: bool = False  # tells its events on a connection that `dialer listener` holds, and not to a webhook
    asks_ivr: bool = False  # its IVR nodes ask us over HTTP what to do
    takes: tuple[str, ...] = ("transport",)  # what `open_pbx` has and this adapter wants

    @property
    def page(self) -> str:
        """The page of docs about it, named as its adapter."""
        return f"docs/pbx/{self.adapter.partition(':')[0].rpartition('.')[2]}.md"


KINDS: Mapping[str, Kind] = {
    "voispeed": Kind("dialer.pbx.voispeed:VoispeedPbx", "the token of its integration module", asks_ivr=True),
    # The simulator speaks VOIspeed, so one adapter serves both.
    "simulator": Kind("dialer.pbx.voispeed:VoispeedPbx", asks_ivr=True),
    "asterisk": Kind("dialer.pbx.asterisk:AsteriskPbx", "the password of its ARI account", streams=True, takes=()),
    "xivo": Kind("dialer.pbx.xivo:XivoPbx", "its users' password, or a line user=password for each", streams=True),
    "easyconnect": Kind("dialer.pbx.easyconnect:EasyConnectPbx", "one of the two keys under API Keys"),
    "voipline": Kind("dialer.pbx.voipline:VoiplinePbx", "the API key of the account", takes=("transport", "requests")),
}  # fmt: skip


def streams(kind: str) -> bool:
    """Whether `dialer listener` fetches the events of this kind of PBX."""
    return kind in KINDS and KINDS[kind].streams
