"""The numbers of a contact in the order they are tried: `phone`, `phone2`, then `more_numbers`."""

from campaigns.models import Contact


def numbers_of(contact: Contact) -> tuple[str, ...]:
    """Return every number of the contact, each once; last one that is to be tried and is not among them any more."""
    numbers, last = _listed(contact), contact.next_number
    return numbers if not last or last in numbers else (*numbers, last)


def following(contact: Contact, number: str) -> str | None:
    """Return the number tried after this one; None after the last, and after one the contact has no more."""
    numbers = _listed(contact)
    at = numbers.index(number) + 1 if number in numbers else len(numbers)
    return numbers[at] if at < len(numbers) else None


def _listed(contact: Contact) -> tuple[str, ...]:
    first, second, more = contact.phone, contact.phone2, contact.more_numbers
    if first and not second and not more:
        return (first,)  # as nearly everybody has; the gate asks it of hundreds at every tick
    return tuple(dict.fromkeys(number for number in (first, second, *(more or ())) if number))
