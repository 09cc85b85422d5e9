"""The listener goes before other processes where the system lets it, and runs all the same where it does not."""

import os
import subprocess
import sys

import pytest

from workers.listener import NICENESS

_ASKS = """
import os, threading
from workers.listener import _come_first
{first}
_come_first()
found = []
asks = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
asks.start(); asks.join(); print(found[0])
"""


def _of_its_threads(first: str = "") -> int:
    """In a process of its own: not everybody can take such a step back."""
    argv = [sys.executable, "-c", _ASKS.format(first=first)]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def _may() -> bool:
    tries = "import os; os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)"
    return subprocess.run([sys.executable, "-c", tries], capture_output=True).returncode == 0


def test_goes_first_where_it_may() -> None:
    if not _may():
        pytest.skip("this account may not put a process before others")
    assert _of_its_threads() == NICENESS
    assert _of_its_threads(first="os.nice(5)") == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5), "as it was told"


def test_an_account_that_may_not_keeps_its_place() -> None:
    if os.geteuid() == 0:
        assert _of_its_threads(first="os.nice(3); os.setuid(65534)") == 3
    elif not _may():
        here = os.getpriority(os.PRIO_PROCESS, 0)
        assert _of_its_threads(first="os.nice(3)") == min(19, here + 3)
    else:
        pytest.skip("this account may put a process before others, and is not root to become one that may not")
