"""Which modes a PBX can do, and the sentence when it cannot."""

import pytest

from dialer import modes
from dialer.errors import BadInput
from dialer.pbx.base import Feature

FIRST = {Feature.AGENT_FIRST, Feature.HANG_UP}
BOTH = {Feature.AGENT_FIRST, Feature.CUSTOMER_FIRST, Feature.JOIN, Feature.DIVERT}


def test_a_pbx_that_rings_the_agent_first_can_do_what_needs_one_call_for_one_agent() -> None:
    assert modes.possible(FIRST) == ["progressive", "preview", "manual"]
    assert modes.possible(BOTH) == list(modes.MODES)
    assert modes.agent_first(FIRST)
    assert not modes.agent_first(BOTH), "who can wait on the line is joined faster than a phone rings"


@pytest.mark.parametrize("mode", ["predictive", "power"])
def test_dialling_ahead_is_refused_with_the_reason_and_the_way_out(mode: str) -> None:
    with pytest.raises(BadInput, match=f"rings the agent first .* for {mode} dialling to place; use progressive"):
        modes.check(mode, "main", FIRST)
    with pytest.raises(BadInput, match="it lacks customer first and divert; it can do progressive, preview, manual"):
        modes.check("agentless", "main", FIRST)
