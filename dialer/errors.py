"""All our exceptions as one tree. Each message is a sentence that names the place and the remedy."""


class DialerError(Exception):
    """Something a person can mend; `str()` is the sentence to show. `exit_code` is the command line's."""

    exit_code = 1


class SettingsError(DialerError):
    """The settings are wrong. Lists every wrong value at once."""

    exit_code = 2


class NotFound(DialerError):
    """There is no such campaign, list, agent or PBX."""

    exit_code = 4


class RefusedByRule(DialerError):
    """A rule of calling forbids it."""

    exit_code = 5


class ServiceUnreachable(DialerError):
    """PostgreSQL, Redis or the web cannot be reached."""

    exit_code = 6


class TryAgainLater(DialerError):
    """Not now: something else holds what is needed."""

    exit_code = 75


class BadInput(DialerError):
    """A file or an argument cannot be used as it is."""

    exit_code = 2


class AlreadyThere(BadInput):
    """What is given was given before."""


class TooLarge(BadInput):
    """A file is larger than is taken here."""


class NoText(BadInput):
    """A file is a workbook, an archive or a document, and no CSV."""


class NoRoom(DialerError):
    """The disk that keeps our data has no room for it."""


class PbxError(DialerError):
    """A PBX (or a directory) did not do what we asked. `pbx` names which one."""

    exit_code = 6
    called = "PBX"

    def __init__(self, pbx: str, why: str) -> None:
        super().__init__(f"{self.called} {pbx}: {why}")
        self.pbx = pbx
        self.why = why


class PbxUnavailable(PbxError):
    """The request never left us: it is safe to send again."""


class PbxBusy(PbxUnavailable):
    """The PBX takes no more requests for a while, or we may send it none: nothing left us, or nothing was done."""


class PbxRefused(PbxError):
    """The PBX understood the request and said no: nothing rang."""


class PbxLockedOut(PbxRefused):
    """The PBX lets us in no more (key, licence, address): every other order would be refused as well."""


class OutcomeUnknown(PbxError):
    """The request may have been carried out: a phone may be ringing. Never send it again on a guess."""


class PbxNonsense(PbxError):
    """A read was answered with something that is not this PBX's language (HTML, cut XML, a bomb)."""


class EventTrouble(DialerError):
    """An event that cannot be used. Kept with its event and shown; no worker retries it."""
