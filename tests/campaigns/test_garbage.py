"""The collector looks less often, and looks all the same."""

import subprocess
import sys

_LIVES = """
import gc, weakref
from campaigns import garbage

class Ring:
    def __init__(self):
        self.me = self

loaded = [Ring() for _ in range(100)]
garbage.settle()
frozen = gc.get_freeze_count()
alive, most, halts = weakref.WeakSet(), 0, []
gc.callbacks.append(lambda phase, told: halts.append(told["generation"]) if phase == "start" else None)
for _ in range(60_000):
    alive.add(Ring())
    most = max(most, len(alive))
print(frozen > 100, most, halts.count(2))
"""


def test_rings_go_and_no_full_collection_is_needed_for_it() -> None:
    told = subprocess.run([sys.executable, "-c", _LIVES], capture_output=True, text=True, check=True).stdout.split()
    assert told[0] == "True", "what was loaded is looked at again and again"
    assert 700 < int(told[1]) < 20_000
    assert int(told[2]) == 0
