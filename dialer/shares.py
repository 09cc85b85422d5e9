"""What a share seen in so many cases says of the true one."""

from math import sqrt


def likely_range(yes: float, cases: float, deviations: float = 1.96) -> tuple[float, float]:
    """Return where the true share lies, nineteen times in twenty (Wilson). Cases may be weighed; none: anywhere."""
    if cases <= 0:
        return 0.0, 1.0
    share, square = yes / cases, deviations**2
    middle = share + square / (2 * cases)
    reach = deviations * sqrt(max(0.0, share * (1 - share)) / cases + square / (4 * cases**2))
    whole = 1 + square / cases
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)
