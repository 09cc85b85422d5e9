"""The prefix of every reference we give to a PBX: drawn once for a database, and kept."""

import secrets

from sqlalchemy import Engine, text


def ensure_installation(engine: Engine) -> str:
    """Return the installation's prefix, drawing it at the first start. Two starters at once agree on one."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO installation (id, prefix) VALUES (1, :prefix) ON CONFLICT DO NOTHING"),
            {"prefix": "d" + secrets.token_hex(4)},
        )
        prefix: str = connection.execute(text("SELECT prefix FROM installation WHERE id = 1")).scalar_one()
        return prefix
