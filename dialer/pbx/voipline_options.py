"""The options of a VoIPLine account: what its articles leave open is said here, and never guessed."""

from typing import Literal

from pydantic import Field

from dialer.pbx.own_words import OwnWords
from dialer.pbx.request_book import Budget

_PATH = r"^[A-Za-z0-9._~/-]{1,100}$"


class VoiplineOptions(OwnWords):
    """`[pbx.NAME.extra]` of kind voipline."""

    # Clients of the second version send forms, the portal writes JSON. A 400 or 415 says that it wants the other.
    body: Literal["multipart", "json"] = "multipart"
    fields: str = ""  # further fixed fields of a call, "user=Anna"
    # Published for the first version, not for the second; per key or per address is not said.
    requests: int = Field(100, ge=2, le=100_000)
    window: float = Field(900.0, ge=1, le=86_400)  # seconds
    kept_back: int = Field(20, ge=0, le=100_000)
    slow_below: int = Field(20, ge=0, le=100_000)
    sort_by: str = Field("newest_first", pattern=r"^[a-z_]{0,40}$")
    call_path: str = Field("call-to-number", pattern=_PATH)
    user_calls_path: str = Field("get-user-calls", pattern=_PATH)
    queue_calls_path: str = Field("get-queue-calls", pattern=_PATH)
    group_calls_path: str = Field("get-ringgroup-calls", pattern=_PATH)

    @property
    def budget(self) -> Budget:
        return Budget(self.requests, self.window, min(self.kept_back, self.requests - 1), self.slow_below)

    def fixed_fields(self) -> dict[str, str]:
        """The further fields, read from their one line."""
        pairs = (part.partition("=") for part in self.fields.split(",") if part.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
