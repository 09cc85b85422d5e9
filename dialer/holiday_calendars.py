"""Public holidays of a country and of its regions, by year, from the `holidays` library.

The library is loaded when a date is first asked about: it takes a third of a second, and most campaigns need none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from dialer.errors import BadInput


@dataclass(frozen=True, slots=True)
class HolidayCalendar:
    """The holidays of a country and of some regions of it together, to be asked `day in calendar`.

    `regions`: ISO 3166-2 codes; those of other countries, and those without holidays of their own, add nothing.
    """

    country: str
    regions: tuple[str, ...] = ()

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and any(day in one for one in self._years(day.year))

    def name(self, day: date) -> str:
        """Return what is celebrated on a day; empty when nothing is."""
        return next((one[day] for one in self._years(day.year) if day in one), "")

    def _years(self, year: int) -> Iterator[dict[date, str]]:
        yield _year(self.country, "", year)
        for region in self.regions:
            country, _, subdivision = region.partition("-")
            if country == self.country and subdivision:
                yield _year(self.country, subdivision, year)


@lru_cache(maxsize=512)
def _year(country: str, subdivision: str, year: int) -> dict[date, str]:
    import holidays

    known = holidays.list_supported_countries(include_aliases=True)
    if country not in known:
        raise BadInput(f"no calendar of public holidays is known for country {country!r}")
    if subdivision and subdivision not in known[country]:
        return {}
    return dict(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
