"""Which events somebody waits for: the others are left to the second look."""

import pytest

from dialer.pbx.base import Payload
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings

PBX = open_pbx("main", PbxSettings(url="http://127.0.0.1/PBX/seri_endpoint.php", token_env="X"))


@pytest.mark.parametrize(
    ("query", "waits"),
    [
        ("event_type=1&event=4&event_name=call_response&extid=d1-c1", False),
        ("event_type=1&event=10&event_name=call_terminated&extid=d1-c1", False),
        ("event_type=1&event=7&event_name=call_transfer&extid=d1-c1", False),
        ("event_type=1&event=5&event_name=disconnect_in&extid=d1-c1", False),
        ("event=4&extid=d1-c1", False),
        ("extid=d1-c1", False),
        ("event_type=2&event=1&event_name=cmd_failed&request_id=5", False),
        ("event_type=1&event=2&event_name=call_progress&extid=d1-c1", True),
        ("event_type=1&event=3&event_name=call_out&extid=d1-c1", True),
        ("event=3&extid=d1-c1", True),
        ("event_type=2&event=14&event_name=call_answered&ext=35", True),
    ],
)
def test_only_what_nobody_waits_for_can_wait(query: str, waits: bool) -> None:
    assert PBX.keys(Payload("GET", query)).can_wait is waits
