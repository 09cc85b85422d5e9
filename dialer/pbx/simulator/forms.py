"""The arguments of a request, wherever they travel: in the query string, or the parts of a form."""

from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl


def params_of(query: bytes, content_type: str = "", body: bytes = b"") -> dict[str, str]:
    """Return all arguments; of two with one name, the last counts."""
    params = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    if not body:
        return params
    if content_type.startswith("application/x-www-form-urlencoded"):
        params.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    elif content_type.startswith("multipart/form-data"):
        head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
        for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
            name = part.get_param("name", header="content-disposition")
            payload = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(payload, bytes):
                params[name] = payload.decode("utf-8", "replace")
    return params
