"""What an agent may say of a call, what it means, and what it brings about.

A disposition has a code (typed, and kept with the attempt), a label (shown), a meaning (counted over campaigns that
word things differently) and one effect: the contact is closed, tried again, called back at a promised time, or put
on the do-not-call list.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from dialer.errors import BadInput
from dialer.retries import Rule

Does = Literal["close", "retry", "callback", "dnc"]
DOES: tuple[str, ...] = get_args(Does)

MEANINGS = {
    "human": "a person was spoken with",
    "sale": "the goal was reached",
    "refusal": "the person does not want it",
    "do-not-call": "the person does not want to be called again",
    "callback": "the person asked to be called at another time",
    "wrong-number": "the number is somebody else's",
    "machine": "an answering machine",
    "fax": "a fax or a modem",
    "nobody": "the line was open, and nobody spoke",
}

# Of calls in which an agent met no person; machines are a figure of their own in the rates of the laws.
MACHINES = ("machine", "fax")
NO_PERSON = (*MACHINES, "nobody")

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")
_LABEL_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Disposition:
    """One word an agent has. `rule`: of a retry. `everywhere`: do-not-call holds for all campaigns, not only this."""

    code: str
    label: str
    meaning: str
    does: str
    rule: Rule = field(default_factory=Rule)
    everywhere: bool = False


BUILT_IN = (
    Disposition("sale", "Sale", "sale", "close"),
    Disposition("done", "Spoken with, nothing left to do", "human", "close"),
    Disposition("refusal", "Not interested", "refusal", "close"),
    Disposition("dnc", "Do not call again", "do-not-call", "dnc", everywhere=True),
    Disposition("callback", "Call back at a time", "callback", "callback"),
    Disposition("later", "Not now, try again", "human", "retry"),
    Disposition("wrong", "Wrong number", "wrong-number", "retry", Rule(most=1, next_number=True)),
    Disposition("machine", "Answering machine", "machine", "retry", Rule(most=3, next_number=True)),
    Disposition("fax", "Fax or modem", "fax", "retry", Rule(most=1, next_number=True)),
    Disposition("silent", "Nobody spoke", "nobody", "retry"),
)


def checked(given: Disposition) -> Disposition:
    """Return a disposition that makes sense, its code in small letters; BadInput names what is wrong."""
    code = given.code.strip().lower()
    if not _CODE.fullmatch(code):
        raise BadInput(
            f"disposition {_shown(given.code)!r}: a code is up to 30 small letters, digits, - and _, as in no-money"
        )
    label = " ".join(given.label.split())
    if not label or len(label) > _LABEL_LENGTH or not label.isprintable():
        raise BadInput(f"disposition {code}: its label needs 1 to {_LABEL_LENGTH} printable characters")
    if given.meaning not in MEANINGS:
        raise BadInput(f"disposition {code}: there is no meaning {_shown(given.meaning)!r}; there are {_known()}")
    if given.does not in DOES:
        raise BadInput(f"disposition {code}: it can {', '.join(DOES)}, not {_shown(given.does)!r}")
    if given.does != "retry" and given.rule != Rule():
        raise BadInput(
            f"disposition {code}: only a retry has a delay, a maximum or another number; it does {given.does}"
        )
    if given.does != "dnc" and given.everywhere:
        raise BadInput(f"disposition {code}: only do-not-call can hold everywhere; it does {given.does}")
    if given.meaning == "do-not-call" and given.does != "dnc":
        raise BadInput(
            f"disposition {code}: somebody who does not want to be called again is put on the list: does dnc"
        )
    return Disposition(code, label, given.meaning, given.does, given.rule, given.everywhere)


def _known() -> str:
    return ", ".join(MEANINGS)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:30]
