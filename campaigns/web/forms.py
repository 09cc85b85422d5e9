"""Forms of pages: read within bounds, and only from pages of ours."""

from starlette.requests import Request

from campaigns.web import forgery
from campaigns.web.forgery import Forgery
from campaigns.web.receiving import Refused

BODY = 512 * 1024  # bytes of a form without a file; a file has 256 columns at most, each with a name of 200 characters
_FIELDS = 600


async def read(request: Request, guard: Forgery) -> dict[str, str]:
    """Return the fields of a form; Refused when its token is not ours."""
    form = await request.form(max_files=0, max_fields=_FIELDS)
    fields = {name: value.replace("\x00", "") for name, value in form.items() if isinstance(value, str)}
    if not guard.knows(request.scope, fields.pop(forgery.FIELD, "")):
        raise Refused
    return fields
