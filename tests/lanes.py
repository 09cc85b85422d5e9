"""Who waits beside whom: three lanes of tests that wait, each done by one process from the beginning of the run on.

What waits for telephones, time limits and processes to start needs a fraction of a core. Were it begun in the order of
the files, all processes would at times wait and no core compute. So the tests of a lane follow one another, and beside
the lanes, and after them, the other processes have what computes.
"""

import pytest

# Paths that begin so. Each lane takes about as long as the others: eight minutes.
LANES = {
    "one": ("tests/asterisk/", "tests/rig/test_several.py", "tests/rig/test_xivo"),
    "two": (
        "tests/directory/test_xc5",
        "tests/pbx/test_secrets",
        "tests/pbx/test_simulator_contract.py",
        "tests/rig/test_chaos.py",
        "tests/rig/test_easyconnect.py",
        "tests/rig/test_voipline.py",
        "tests/workers/test_supervisor.py",
    ),
    "three": (
        "tests/conformance/test_consent.py",
        "tests/conformance/test_faults.py",
        "tests/conformance/test_happy.py",
        "tests/conformance/test_processes.py",
        "tests/rig/test_modes.py",
        "tests/workers/test_embedded.py",
    ),
}

# What takes longest by itself is begun first, or a process would still be at it when the others have ended.
LONG = "tests/simulation/test_pacing_benchmark.py"


def put(items: list[pytest.Item]) -> None:
    """Give each test that waits its lane (`--dist loadgroup` hears it)."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        for lane, paths in LANES.items():
            if item.nodeid.startswith(paths):
                item.add_marker(pytest.mark.xdist_group(f"waits {lane}"))
