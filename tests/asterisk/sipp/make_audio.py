"""Writes what the telephones play, as A-law at 8 kHz: human.al (a customer: a word, then
silence), machine.al (an answering machine: speech without end) and agent.al (a sentence
and a pause, played over and over). The sounds are made up, in the shape of speech."""

import math
import random
import sys
from pathlib import Path

RATE = 8000


def alaw(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    value = min(abs(sample), 32635) >> 3
    exponent = max(value.bit_length() - 5, 0)
    mantissa = (value >> (exponent if exponent > 1 else 1)) & 0x0F
    return (sign | (exponent << 4) | mantissa) ^ 0x55


def silence(seconds: float) -> list[int]:
    return [0] * int(RATE * seconds)


def word(seconds: float, rng: random.Random) -> list[int]:
    n, pitch, out = int(RATE * seconds), rng.uniform(110, 180), []
    for i in range(n):
        envelope = math.sin(math.pi * i / n) ** 0.5
        t = i / RATE
        voice = sum(math.sin(2 * math.pi * pitch * k * t) / k for k in range(1, 9))
        out.append(int(6000 * envelope * voice / 2 + rng.uniform(-300, 300)))
    return out


def main(folder: str) -> None:
    rng = random.Random(7)
    human = silence(0.4) + word(0.5, rng) + silence(6)
    machine = silence(0.3)
    while len(machine) < RATE * 15:
        machine += word(rng.uniform(0.3, 0.6), rng) + silence(rng.uniform(0.06, 0.12))
    agent = [s for _ in range(5) for s in word(0.35, rng) + silence(0.1)] + silence(2)
    for name, samples in (("human", human), ("machine", machine), ("agent", agent)):
        Path(folder, f"{name}.al").write_bytes(bytes(alaw(s) for s in samples))


if __name__ == "__main__":
    main(sys.argv[1])
