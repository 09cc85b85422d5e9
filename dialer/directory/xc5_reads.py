"""What is read of one tenant of an XC5: accounts, extensions, registrations, numbers and hunt groups."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dialer.clock import Clock
from dialer.directory.base import (
    Account,
    DirectoryNonsense,
    DirectoryRefused,
    Group,
    NotThere,
    OwnNumber,
    Told,
)
from dialer.directory.hal import Record
from dialer.directory.http import DirectoryHttp
from dialer.directory.xc5_client import Xc5Client, address
from dialer.directory.xc5_records import (
    extensions,
    flag,
    hunt_members,
    is_short,
    own_number,
    presence,
    registered,
    text,
    whole,
)
from dialer.settings import DirectorySettings

if TYPE_CHECKING:
    import httpx


class Xc5Reads:
    """One tenant of an XC5."""

    def __init__(
        self,
        name: str,
        settings: DirectorySettings,
        *,
        environ: Mapping[str, str] | None = None,
        transport: "httpx.BaseTransport | None" = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self._tenant_path = ""
        self.client = Xc5Client(
            DirectoryHttp(name, settings, environ=environ, transport=transport, clock=clock), settings
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def close(self) -> None:
        self.client.http.close()

    # reads --------------------------------------------------------------------------------------------

    def accounts(self, told: Told | None = None) -> Sequence[Account]:
        """Return everybody under the tenant. A list gives short records, so each is read by itself."""
        short = extensions(self.rules())
        return [self._account(record, short) for record in self._each(told)]

    def numbers(self, told: Told | None = None) -> Sequence[OwnNumber]:
        """Return the tenant's numbers and those of everybody under it, each once."""
        holders = [(self.tenant_path(), self.settings.account)]
        holders += [(self.path_of(one), text(one, "username")) for one in self.children()]
        found: dict[str, OwnNumber] = {}
        for at, (path, name) in enumerate(holders):
            if told is not None:
                told(at, len(holders))
            for number in self.things(f"{path}/number"):
                one = own_number(number, name)
                found.setdefault(one.id or f"{one.number} {one.account}", one)
        return [one for one in found.values() if one.number]

    def free_numbers(self, pattern: str = "") -> Sequence[OwnNumber]:
        """Return numbers nobody has; `pattern` as XC5 understands it (SQL LIKE)."""
        listed = self.client.records(f"{self.tenant_path()}/numberallocate", filter=pattern)
        return [number for one in listed if (number := own_number(one, self.settings.pool)).number]

    def groups(self, told: Told | None = None) -> Sequence[Group]:
        """Return the accounts whose routes hunt for somebody."""
        found = []
        for record in self._each(told, whole_records=False):
            members = hunt_members(self.things(f"{self.path_of(record)}/route"))
            if members:
                found.append(Group(text(record, "guid", 64), text(record, "username"), members))
        return found

    # for the check and the provisioning -----------------------------------------------------------------

    def tenant(self) -> Record:
        """Return the tenant's own record; DirectoryRefused says which name was looked for."""
        name = self.settings.account
        try:
            record = self.client.record(address("account", name))
        except NotThere as exc:
            why = str(exc.why)
        else:
            self._tenant_path = self.path_of(record)
            return record
        remedy = f"directory.{self.name}.account must name the tenant, as XC5 writes its user name"
        raise DirectoryRefused(self.name, f"there is no account {name} ({why}); {remedy}")

    def things(self, path: str) -> list[Record]:
        """Return the numbers, routes or rules below an account; those a list tells too little of are read whole."""
        return [self._whole(one, path) if is_short(one) else one for one in self.client.records(path)]

    def _whole(self, record: Record, parent: str) -> Record:
        path = self.client.record_path(record, parent)
        return {**record, **((self.client.found(path) if path else None) or {})}

    def tenant_path(self) -> str:
        """Return the tenant's path by guid; it is read once."""
        if not self._tenant_path:
            self.tenant()
        return self._tenant_path

    def children(self) -> list[Record]:
        """Return the short records of everybody under the tenant, who can all be found again."""
        path = f"{self.tenant_path()}/child"
        listed = self.client.records(path, horizontal=self.settings.descendants)
        for record in listed:
            if not text(record, "guid") and not text(record, "username"):
                why = f"GET {path}: a record has neither guid nor username, so it cannot be found again"
                raise DirectoryNonsense(self.name, f"{why}; see OPTIONS of account")
        return listed

    def path_of(self, record: Record) -> str:
        """Return an account's path: by guid once it is known, for names may be changed."""
        return address("account", text(record, "guid", 64) or text(record, "username"))

    def _each(self, told: Told | None, *, whole_records: bool = True) -> list[Record]:
        listed = self.children()
        found = []
        for at, record in enumerate(listed):
            if told is not None:
                told(at, len(listed))
            if whole_records:
                # What the list tells is kept where the record itself is silent.
                record = {**record, **(self.client.found(self.path_of(record)) or {})}
            found.append(record)
        return found

    def rules(self) -> list[Record]:
        """Return the tenant's call rules: what happens to calls by its accounts."""
        try:
            return self.things(f"{self.tenant_path()}/callrule")
        except NotThere:
            return []

    def _account(self, record: Record, short: Mapping[str, str]) -> Account:
        name = text(record, "username")
        status = text(record, "reg_status", 60)
        there = registered(status, self.settings.registered_words)
        if there is None:
            there = self._phone_seen(record)
        return Account(
            id=text(record, "guid", 64),
            name=name,
            extension=short.get(name.casefold(), ""),
            description=text(record, "description"),
            enabled=flag(record, "enabled"),
            presence=presence(record, there),
            status=status,
            calls_at_once=whole(record, "concurrent_call_limit"),
            hides_number=flag(record, "private"),
        )

    def _phone_seen(self, record: Record) -> bool | None:
        """Whether any telephone is registered; None when that cannot be read: unknown is not failed."""
        try:
            return bool(self.client.records(f"{self.path_of(record)}/reg"))
        except (DirectoryRefused, DirectoryNonsense):
            return None
