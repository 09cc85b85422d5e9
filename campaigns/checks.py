"""One finding about the installation, and what many of them mean together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dialer.errors import ServiceUnreachable


@dataclass(frozen=True, slots=True)
class Check:
    """One finding and where it was made. `unreachable`: a service did not answer at all."""

    area: str
    ok: bool
    what: str
    remedy: str = ""
    fatal: bool = True
    unreachable: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the check for a program."""
        return asdict(self)


def verdict(checks: Sequence[Check]) -> int:
    """Return the exit code: 0 fit, 1 something is wrong, 6 a service cannot be reached."""
    if any(check.unreachable and not check.ok for check in checks):
        return ServiceUnreachable.exit_code
    return 1 if any(not check.ok and check.fatal for check in checks) else 0
