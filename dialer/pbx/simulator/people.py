"""The people behind the numbers: whoever is called for the nth time does what the seed says, at any pace."""

from dataclasses import dataclass

from dialer.pbx.simulator.chance import Chance
from dialer.pbx.simulator.config import Behaviour, CustomerConfig, Ending

_ANYBODY = Behaviour()


@dataclass(frozen=True, slots=True)
class Customer:
    """One call of one number: all that this person will do, drawn beforehand. Real seconds."""

    number: str
    nth: int
    ending: Ending
    signal: float  # from dialling until the network says it rings
    ring: float  # from dialling until the ending
    patience: float  # from the answer until hanging up, if nobody comes
    talk: float
    hangs_up_first: bool


class Customers:
    """Everybody who can be called. `steps` may be changed while the world runs."""

    def __init__(self, config: CustomerConfig, chance: Chance, speed: float) -> None:
        self._config = config
        self._chance = chance
        self._speed = speed
        self.calls_of: dict[str, int] = {}
        self.steps: list[tuple[float, float]] = sorted(config.answer_steps)
        self.base_probability = config.answer_probability
        self.by_number = {digits(number): what for number, what in config.by_number.items()}

    def answer_probability(self, now: float) -> float:
        current = self.base_probability
        for since, probability in self.steps:
            if since <= now:
                current = probability
        return current

    def meet(self, number: str, now: float) -> Customer:
        """Call `number` once more and see who is there."""
        number = digits(number)
        nth = self.calls_of[number] = self.calls_of.get(number, 0) + 1
        return self._draw("customer", number, nth, now)

    def caller(self, number: str, nth: int) -> Customer:
        """Somebody who calls in. Whether they would have answered does not matter; how long they talk does."""
        return self._draw("caller", digits(number), nth, 0.0)

    def _draw(self, role: str, number: str, nth: int, now: float) -> Customer:
        config, draws = self._config, self._chance.of(role, number, nth)
        told = self._behaviour(number)
        # The order of these lines is part of what a seed means.
        ending = self._ending(draws.uniform(), draws.uniform(), now)
        ring = config.ring.draw(draws)
        fast = draws.uniform(*config.fast_end)
        signal = draws.uniform(*config.signal)
        patience = draws.exponential(config.patience_mean)
        talk = config.talk.draw(draws)
        hangs_up_first = draws.chance(config.hangs_up_first)

        ending = told.ending or ending
        if ending is Ending.NO_ANSWER:
            ring = config.ring_out
        elif ending is not Ending.ANSWERS:
            ring = fast
        ring = told.ring if told.ring is not None else ring
        return Customer(
            number,
            nth,
            ending,
            signal=min(signal, ring / 2) / self._speed,
            ring=ring / self._speed,
            patience=told.patience if told.patience is not None else patience,
            talk=(told.talk if told.talk is not None else talk) / self._speed,
            hangs_up_first=told.hangs_up_first if told.hangs_up_first is not None else hangs_up_first,
        )

    def _ending(self, answer: float, otherwise: float, now: float) -> Ending:
        if answer < self.answer_probability(now):
            return Ending.ANSWERS
        config = self._config
        for ending, share in (
            (Ending.BUSY, config.busy_share),
            (Ending.REJECTED, config.rejected_share),
            (Ending.UNAVAILABLE, config.unavailable_share),
        ):
            if otherwise < share:
                return ending
            otherwise -= share
        return Ending.NO_ANSWER

    def _behaviour(self, number: str) -> Behaviour:
        told = self.by_number.get(number)
        if told is None and self._config.by_last_digits:
            told = self._config.by_last_digits.get(number[-2:])
        return told or _ANYBODY


def digits(number: str) -> str:
    """Return one way of writing a number: +39.., 0039.. and 39.. are the same phone."""
    kept = "".join(c for c in number if "0" <= c <= "9")
    return kept[2:] if kept.startswith("00") else kept
