"""A real Asterisk and real SIP telephones, where they can be had; otherwise these tests are skipped with a word why."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk.kit import NotHere, RealPbx


@pytest.fixture(scope="session")
def real_pbx() -> Iterator[RealPbx]:
    """An Asterisk of our own, with customers behind its trunk and twenty telephones."""
    home = Path(os.environ.get("PBX_HOME", "") or Path.home() / ".cache" / "dialer-pbx")
    if not os.environ.get("DIALER_ASTERISK"):
        pytest.skip("a real Asterisk wants a core for itself: DIALER_ASTERISK=short, or make test-asterisk")
    # The long form installs what is missing; the short one only uses what is there.
    may_install = os.environ.get("DIALER_ASTERISK", "") in ("install", "long")
    try:
        pbx = RealPbx(home, install=may_install)
    except NotHere as exc:
        pytest.skip(str(exc))
    pbx.start()
    yield pbx
    pbx.stop()
