"""The numbers of a contact in the order they are tried: `phone`, `phone2`, then `more_numbers`."""

from campaigns.models import Contact


def numbers_of(contact: Contact) -> tuple[str, ...]:
    """Return every number of the contact, each once."""
    numbers = (contact.phone, contact.phone2, *(contact.more_numbers or ()))
    return tuple(dict.fromkeys(number for number in numbers if number))


def following(contact: Contact, number: str) -> str | None:
    """Return the number tried after this one; None after the last, and after one the contact has no more."""
    numbers = numbers_of(contact)
    at = numbers.index(number) + 1 if number in numbers else len(numbers)
    return numbers[at] if at < len(numbers) else None
