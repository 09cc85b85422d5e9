"""Who waits beside whom: two processes of the run do all that waits, one thing after the other; the others compute.

What waits for telephones, time limits and processes to start needs a fraction of a core. Were it begun in the order of
the files, all processes would at times wait and no core compute. So whatever waits belongs to one of two groups, each
done by one process from the beginning of the run on; a group with more tests is begun earlier.
"""

import pytest

# Paths that begin so; the two take about equally long.
LANES = {
    "one": (
        "tests/asterisk/",
        "tests/conformance/test_consent.py",
        "tests/conformance/test_faults.py",
        "tests/conformance/test_happy.py",
        "tests/conformance/test_processes.py",
        "tests/rig/test_several.py",
        "tests/rig/test_xivo",
        "tests/pbx/test_secrets",
    ),
    "two": (
        "tests/directory/test_xc5",
        "tests/pbx/test_simulator_contract.py",
        "tests/rig/test_chaos.py",
        "tests/rig/test_easyconnect.py",
        "tests/rig/test_modes.py",
        "tests/rig/test_voipline.py",
        "tests/workers/test_embedded.py",
        "tests/workers/test_supervisor.py",
    ),
}


# What takes longest by itself is begun first, or a process would still be at it when the others have ended.
LONG = ("tests/simulation/test_pacing_benchmark.py", "tests/campaigns/test_pace_replay.py")


def put(items: list[pytest.Item]) -> None:
    """Give each test that waits its lane (`--dist loadgroup` hears it)."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        for lane, paths in LANES.items():
            if item.nodeid.startswith(paths):
                item.add_marker(pytest.mark.xdist_group(f"waits {lane}"))
