"""Addresses without zero bytes: PostgreSQL knows none in a text, and nobody means one.

Taken out where a request comes in, of path and query; forms and JSON see to theirs (`forms`, `api_shapes`). What PBXs
send is kept as it came.
"""

from starlette.types import Scope


def without_zero_bytes(scope: Scope) -> Scope:
    """Return the request's scope with a path and a query that hold none."""
    path, query = scope["path"], scope.get("query_string", b"")
    if "\x00" not in path and b"%00" not in query:
        return scope
    while b"%00" in query:  # one taken out may leave another: %0%000
        query = query.replace(b"%00", b"")
    return {**scope, "path": path.replace("\x00", ""), "query_string": query}
