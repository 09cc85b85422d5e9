"""When Python looks for garbage, in a process that somebody who has answered waits for.

What is loaded to start stays until the end, and is looked at no more. What is made afterwards nearly always goes by
itself: the collector finds little, and by Python's own measure it looks some six times while a hundred contacts are
chosen, and every twenty such choices through everything, for 11 to 30 ms in which no answer is heard. So it looks
less often: a twelfth of the client's time less, and no such halt (`benchmarks/choosing.py`).
"""

import gc
from functools import cache

# More objects made than gone before the young are looked at: a choice of a hundred contacts makes 4,400. Every third or
# fourth time those that outlived it, for 4 ms; every four hundredth time everything, if much of it is new.
OFTEN = (5_000, 2, 100)


@cache
def settle() -> None:
    """Call once, when all is loaded: a full collection over a loaded program takes a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OFTEN)
