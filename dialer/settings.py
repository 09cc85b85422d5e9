"""What can be set, with its default: one frozen `Settings`. `dialer/settings_reading.py` reads them.

Secrets are only ever *references* here: the name of an environment variable or of a file, read when a PBX is opened
(`dialer/secrets.py`).
"""

import ipaddress
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dialer.caps import parse_all
from dialer.errors import BadInput
from dialer.pbx_kinds import KINDS

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebSettings(_Section):
    """Where the web process listens, and the address the PBX and people reach it by."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    public_url: str = ""
    clients_file: str = ""  # the programs that may use the API; `dialer client new` writes it
    upload_limit: int = Field(256, ge=1, le=2048)  # MiB of one uploaded file

    @property
    def address(self) -> str:
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


class DatabaseSettings(_Section):
    """Empty `url`: an embedded PostgreSQL in the data folder."""

    url: str = ""
    pool_size: int = Field(12, ge=1, le=200)

    @field_validator("url")
    @classmethod
    def _postgresql_only(cls, value: str) -> str:
        scheme = value.split(":", 1)[0]
        if value and scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ValueError("must begin with postgresql:// (no other database is supported)")
        return value


class RedisSettings(_Section):
    """Empty `url`: an embedded Valkey in the data folder."""

    url: str = ""

    @field_validator("url")
    @classmethod
    def _redis_only(cls, value: str) -> str:
        if value and value.split(":", 1)[0] not in ("redis", "rediss", "unix"):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value


class LogSettings(_Section):
    """How processes log. `auto`: colour on a terminal, JSON elsewhere."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "json", "console"] = "auto"


class TimingSettings(_Section):
    """Seconds. Everything that waits, waits for one of these."""

    tick: Seconds = 0.25  # between two pacing decisions of one campaign
    second_look: Seconds = 0.2  # between two looks for what a lost queue message left behind
    answer_limit: Seconds = 2.0  # from the answer to an agent, or the recorded message
    message_lead: Seconds = 0.35  # the message is ordered this long before the limit, to begin within it
    order_life: Seconds = 10.0  # an order not sent by then is never sent
    ring_limit: Seconds = 30.0  # the PBX should have given up by then; asked about afterwards
    start_limit: Seconds = 10.0  # an accepted call must show a first event by then
    unknown_cool_down: Seconds = 30.0  # before a call whose order got no reply may be called lost
    sweep: Seconds = 2.0  # between two questions "which calls are there?" while calls are open
    settle: Seconds = 1.5  # a call that ended out of order waits this long for its late events
    message_limit: Seconds = 60.0  # the recorded message is over by then, or the call is hung up
    talk_limit: Seconds = 14_400.0  # a conversation longer than this is asked about and ended
    preview_limit: Seconds = 60.0  # an offer not answered by then expires
    callback_lead: Seconds = 20.0  # an agent is kept for a callback this long before it is due
    callback_grace: Seconds = 1800.0  # a callback promised for a time of day breaks so long after it
    callback_alarm: Seconds = 900.0  # one not called yet is reported so long before it breaks
    callback_fallback: Seconds = 300.0  # an owner who is away has it to themselves so long after it is due
    callback_take: Seconds = 900.0  # who has taken one and not closed it gives it back after so long
    agent_ring_limit: Seconds = 20.0  # an agent's phone that does not answer by then pauses the agent
    presence_poll: Seconds = 2.0  # between two reads of lines and agents
    wrap_up_poll: Seconds = 0.5  # between two reads of agents while one of them may be back from wrap-up any moment
    presence_stale: Seconds = 30.0  # older than this: one call per idle agent
    presence_dead: Seconds = 60.0  # older than this: no calls
    failover_after: Seconds = 5.0  # a PBX out of use for so long gives its share to the campaign's others
    failback_after: Seconds = 30.0  # and gets it again when it has been back for so long
    lease: Seconds = 3.0  # a scheduler not heard of for this long has lost its campaigns
    retention_days: float = Field(90, gt=0)  # raw events and pace decisions


class RetentionSettings(_Section):
    """Days after which each kind of record is deleted, at night. Attempts and the ledger are never deleted.

    Empty: `timing.retention_days`. Laws ask for calls and consents of two to five years; raw events are no records.
    """

    events_days: float | None = Field(None, gt=0)  # what the PBX sent, once handled
    pace_decisions_days: float | None = Field(None, gt=0)
    offers_days: float | None = Field(None, gt=0)  # offers that led to no call
    reject_files_days: float | None = Field(None, gt=0)  # rows of people that were not taken


class RightsSettings(_Section):
    """Who may do what no one else may; names as the ledger writes them (`cli:anna`). Until there are roles."""

    may_raise_ceiling: tuple[str, ...] = ()  # an abandonment limit above the rule pack's, with a reason


class CapsSettings(_Section):
    """How often anybody may be called, by all campaigns together: `3/day, 7/7d`. A campaign may add caps of its own."""

    number: str = ""  # one phone number
    contact: str = ""  # one contact, over all its numbers

    @field_validator("number", "contact")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            return ", ".join(str(cap) for cap in parse_all(value))
        except BadInput as exc:
            raise ValueError(str(exc)) from None


class PbxSettings(_Section):
    """One PBX. What a maker's document lost is a setting here, with a tolerant default."""

    secret_name: ClassVar[str] = "token"  # noqa: S105 - the name of a setting
    kind: str = "voispeed"  # one of those in `dialer.pbx_kinds`
    url: str
    token_env: str = ""
    token_file: str = ""
    domain: str = ""  # licence or tenant, sent only when set
    webhook_secret_env: str = ""
    webhook_secret_file: str = ""
    webhook_secret_previous_env: str = ""  # still accepted while the secret is being changed
    webhook_allow: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    allow_http: bool = False  # plain http to an address other than loopback
    reception_ivr: int | None = None
    waiting_ivr: int | None = None
    abandon_ivr: int | None = None
    gateways: tuple[int, ...] = ()
    timeout: Seconds = 5.0  # of one request, connecting included
    number_format: Literal["digits", "plus", "international"] = "digits"  # 39.. / +39.. / 0039..
    dial_prefix: str = Field("", pattern=r"^[0-9*#]{0,8}$")
    agent_calling_number: str = "{extension}"  # what the two number fields of an agent's leg carry
    agent_called_number: str = "{extension}"
    call_id_fields: tuple[str, ...] = ("call_id", "com_id", "callid")
    leg_id_fields: tuple[str, ...] = (
        "entity_call_id",
        "local_id",
        "call_local_id",
        "sender_call_id",
        "usercallid",
    )
    terminate_fields: tuple[str, ...] = ("call_id", "com_id")  # tried in this order when refused
    divert_fields: dict[str, str] = Field(default_factory=dict)  # our word -> the PBX's, see docs/pbx
    recording_field: str = "enable"
    call_action_words: dict[str, str] = Field(default_factory=dict)  # hold, resume, answer, transfer
    user_modes: dict[str, int] = Field(default_factory=lambda: {"do_not_disturb": 2})
    # Asterisk (docs/pbx/asterisk.md)
    user: str = Field("", pattern=r"^[A-Za-z0-9._@-]{0,64}$")  # the account whose password the token is
    app: str = Field("dialer", pattern=r"^[A-Za-z0-9_-]{1,40}$")  # the name our Stasis application goes by
    trunks: dict[str, int] = Field(default_factory=dict)  # PJSIP endpoint of each provider -> calls it may carry
    agent_endpoints: tuple[str, ...] = ()  # names or patterns (agent*); empty: every endpoint that is no trunk
    customer_context: str = Field("dialer-customer", pattern=r"^[A-Za-z0-9_-]{1,60}$")
    message_context: str = Field("dialer-message", pattern=r"^[A-Za-z0-9_-]{0,60}$")  # empty: there is no message
    machine_context: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,60}$")  # set: answering machines are told apart
    ring_limit: int = Field(30, ge=5, le=300)  # seconds until Asterisk gives up a call nobody answers
    call_limit: int = Field(14_400, ge=60)  # seconds after which Asterisk ends a call by itself
    hold_music: bool = True  # agents who wait hear it
    record: bool = False  # conversations, on the PBX
    auto_answer: str = Field("Call-Info: <sip:dialer>;answer-after=0", pattern=r"^([A-Za-z-]+: [\x20-\x7e]+)?$")
    extra: dict[str, str] = Field(default_factory=dict)  # for adapters with options of their own

    @field_validator("kind")
    @classmethod
    def _places_calls(cls, value: str) -> str:
        if value == "xc5":
            raise ValueError("xc5 places no calls: write the section as [directory.NAME], beside the PBX that does")
        if value not in KINDS:
            raise ValueError(f"is no kind of PBX we speak to: use {', '.join(KINDS)}")
        return value

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the whole address, for example https://pbx.example/PBX/seri_endpoint.php")
        return value

    @field_validator("webhook_allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"{text!r} is not an address or network such as 192.0.2.10/32") from None
        return value

    @property
    def on_loopback(self) -> bool:
        return is_loopback(urlsplit(self.url).hostname or "")


class DirectorySettings(_Section):
    """A platform that knows accounts, numbers and groups, and is set up through this. It places no calls.

    The user name may be written here; the password is only ever a reference.
    """

    secret_name: ClassVar[str] = "password"  # noqa: S105 - the name of a setting
    kind: Literal["xc5"] = "xc5"
    url: str
    user: str = ""
    user_env: str = ""
    user_file: str = ""
    password_env: str = ""
    password_file: str = ""
    account: str = Field(min_length=1, max_length=200)  # the tenant whose accounts are agents; groups are made under it
    pbx: str = ""  # the [pbx.NAME] on which these accounts' phones ring; empty: the only one
    allow_http: bool = False  # plain http to an address other than loopback
    timeout: Seconds = 10.0  # of one request, connecting included
    requests_per_second: float = Field(2.0, gt=0, le=1000)  # no limit is published; ten at once, then this many
    descendants: bool = False  # accounts under accounts too, by the parameter `horizontal`
    registered_words: tuple[str, ...] = ()  # values of `reg_status` that mean registered, beside those that say so
    pool: str = "_unassigned.pool"  # the account that holds free numbers
    release: Literal["pool", "delete", "by-hand"] = "pool"  # what undoing does with a number taken from the pool
    member_order: int = Field(100, ge=1, le=100_000)  # of a hunt group's first member
    last_order: int = Field(200, ge=1, le=100_000)  # of where a call goes that no member took
    extra: dict[str, str] = Field(default_factory=dict)  # ca_file

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be the whole address of the interface, for example https://xc5.example/api-sys/")
        return value.rstrip("/") + "/"

    @model_validator(mode="after")
    def _members_before_the_last(self) -> "DirectorySettings":
        if self.member_order >= self.last_order:
            raise ValueError("member_order must be below last_order: members are rung before a call goes elsewhere")
        return self

    @property
    def on_loopback(self) -> bool:
        return is_loopback(urlsplit(self.url).hostname or "")


# What the HTTP client can be given: where to go, how long to wait, and where the secret is kept.
Reached = PbxSettings | DirectorySettings


class PullSettings(_Section):
    """Files fetched by themselves: every so often from a folder, or from one address."""

    campaign: str
    path: str = ""  # a folder; each file in it is imported and moved to its `done` or `failed`
    pattern: str = "*.csv"  # of the names taken from the folder
    url: str = ""  # https; exactly this address, no redirects
    authorization_env: str = ""  # names the variable with the value of the Authorization header
    allow_http: bool = False  # plain http to an address other than loopback
    every: Seconds = 300.0
    kind: Literal["contacts", "callbacks"] = "contacts"
    template: str = ""  # of `dialer list template`: how the files are read

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password):
            raise ValueError("must be a whole address without a user name, for example https://crm.example/list.csv")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "PullSettings":
        if bool(self.path) == bool(self.url):
            raise ValueError("needs either path, a folder, or url")
        if (
            self.url.startswith("http://")
            and not self.allow_http
            and not is_loopback(urlsplit(self.url).hostname or "")
        ):
            raise ValueError("plain http would show people's numbers to the network: use https, or allow_http = true")
        return self


class Settings(_Section):
    """Everything the processes are told. Frozen: a change is a restart."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    env: Literal["development", "production"] = "development"
    data_dir: Path = Path(".dialer")
    web: WebSettings = WebSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    log: LogSettings = LogSettings()
    timing: TimingSettings = TimingSettings()
    rights: RightsSettings = RightsSettings()
    caps: CapsSettings = CapsSettings()
    retention: RetentionSettings = RetentionSettings()
    pbx: dict[str, PbxSettings] = Field(default_factory=dict)
    directory: dict[str, DirectorySettings] = Field(default_factory=dict)
    worker_threads: int = Field(8, ge=1, le=64)
    agent_login: Literal["presence", "explicit"] = "presence"  # who says an agent is at work
    pulls: dict[str, PullSettings] = Field(default_factory=dict, alias="import")  # [import.NAME]

    @field_validator("directory")
    @classmethod
    def _directory_names(cls, value: dict[str, DirectorySettings]) -> dict[str, DirectorySettings]:
        for name in value:
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} cannot be a directory's name: use letters, digits, - and _")
        return value

    @field_validator("pbx")
    @classmethod
    def _names(cls, value: dict[str, PbxSettings]) -> dict[str, PbxSettings]:
        for name in value:
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} cannot be a PBX name: use letters, digits, - and _ (it is in a URL)")
        return value


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
