"""A real Asterisk and real SIP telephones, where there is an installation; otherwise a word why not.

DIALER_ASTERISK: `off` skips these tests, `long` installs what is missing and runs all of them (`make test-asterisk`).
"""

import os
from collections.abc import Iterator

import pytest

from tests.asterisk.real_pbx import NotHere, RealPbx, install, usual_home


@pytest.fixture(scope="module")  # not longer: its telephones take a tenth of a core from the tests of other things
def real_pbx() -> Iterator[RealPbx]:
    """An Asterisk of our own, with customers behind its trunk and twenty telephones."""
    wanted = os.environ.get("DIALER_ASTERISK", "")
    if wanted == "off":
        pytest.skip("no real Asterisk wanted: DIALER_ASTERISK=off")
    home = usual_home()
    try:
        if wanted == "long":
            install(home)
        with RealPbx(home) as pbx:
            yield pbx
    except NotHere as exc:
        pytest.skip(str(exc))
