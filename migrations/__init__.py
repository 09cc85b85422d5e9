"""Schema changes, in order. A change adds in one release and removes in a later one."""

HEAD = "0022"  # the newest revision, said here so that nobody must load Alembic to compare (a test holds it)

# A migration that cannot get its lock at once gives up: calls must not queue behind it.
LOCK_TIMEOUT = "2s"
