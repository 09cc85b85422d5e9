"""XC5-XS (Designcom) as a directory and provisioner. Its interface knows no calls, so it is no PBX to us."""

from collections.abc import Sequence

from dialer.directory import xc5_check, xc5_provisioning, xc5_undoing
from dialer.directory.base import Creates, Look, Made, Request, Step, Wish
from dialer.directory.xc5_reads import Xc5Reads
from dialer.pbx.base import Finding


class Xc5Directory(Xc5Reads):
    """One tenant of an XC5, as the protocol `Directory` wants it."""

    creates = frozenset(Creates)

    def check(self, *, short: bool = False) -> Sequence[Finding]:
        """Look at rights and fields, and unless `short` at accounts and numbers; nothing is changed."""
        return xc5_check.check(self, short=short)

    def plan(self, wish: Wish) -> Sequence[Step]:
        """Return what must be there; see `xc5_provisioning`."""
        return xc5_provisioning.plan(self, wish)

    def look(self, step: Step) -> Made | None:
        """Return the thing as it is there now."""
        return xc5_provisioning.look(self, step)

    def make(self, step: Step, *, before_send: Look | None = None) -> Made:
        """Send the step's one request."""
        return xc5_provisioning.make(self, step, before_send)

    def way_back(self, step: Step, made: Made) -> Request | None:
        """Return the request that takes it back."""
        return xc5_undoing.way_back(self, step, made)

    def take_back(self, step: Step, made: Made, *, before_send: Look | None = None) -> bool:
        """Take it back, unless it was changed since."""
        return xc5_undoing.take_back(self, step, made, before_send)
