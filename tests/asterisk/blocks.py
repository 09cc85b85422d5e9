"""Ports of our own for every run: two test runs on one machine, in whatever folders, never meet."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

# Below the ports that the system hands out by itself, so that nobody gets one of ours by chance.
FIRST, SIZE, COUNT = 10_000, 3_000, 7


class NoPorts(Exception):
    """Every block of ports is taken."""


@dataclass(frozen=True)
class Block:
    """Consecutive ports, and what each is for. The first is the claim itself."""

    base: int

    @property
    def settings(self) -> Mapping[str, str]:
        """For run.sh. A channel takes two ports of media, a telephone four."""
        base = self.base
        ports = {
            "PBX_HTTP_PORT": base + 1,
            "PBX_AMI_PORT": base + 2,
            "PBX_SIP_PORT": base + 10,
            "PBX_CALLEES_PORT": base + 20,
            "PBX_AGENTS_PORT": base + 30,
            "PBX_RTP_FIRST": base + 100,
            "PBX_RTP_LAST": base + 1099,
            "PBX_SIPP_RTP_FIRST": base + 1100,
            "PBX_SIPP_RTP_COUNT": 900,
        }
        return {name: str(port) for name, port in ports.items()}

    @property
    def signalling(self) -> list[int]:
        """The ports without which nothing starts."""
        return [self.base + more for more in (1, 2, 10, 20, 21, 30, 31, 35, 36)]


@contextmanager
def claimed(blocks: int = COUNT, *, tidy: Callable[[Block], None] = lambda _: None) -> Iterator[Block]:
    """Hold a block of ports for as long as we live: the kernel gives the claim back, however we end.

    `tidy` ends what an earlier holder may have left in it.
    """
    with ExitStack() as stack:
        for at in range(blocks):
            block = Block(FIRST + SIZE * ((at + os.getpid()) % blocks))
            claim = _bound(block.base)
            if claim is None:
                continue
            tidy(block)
            if all(_free(port) for port in block.signalling):
                stack.enter_context(claim)
                break
            claim.close()
        else:
            raise NoPorts(f"all {blocks} blocks of {SIZE} ports from {FIRST} are taken: end what uses them")
        yield block


def _bound(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket | None:
    one = socket.socket(socket.AF_INET, kind)
    try:
        one.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            one.listen()
    except OSError:
        one.close()
        return None
    return one


def _free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = _bound(port, kind)
        if one is None:
            return False
        one.close()
    return True
