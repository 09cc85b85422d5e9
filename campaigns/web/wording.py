"""Our sentences name remedies as the command line has them; on a page, the same remedies are what the page has."""

import re

# What an import's sentences and reject reasons say for the terminal -> what stands on the page beside them.
_ON_PAGES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r" \(nothing was imported\)$", "."),
        (r",? ?or say which (?:it is )?with --mapping '?[^'(.;]*=[\w:]+'?", ", or choose what it is below"),
        (r"Say what stands between the columns with --delimiter '.+'",
         "Save it with commas or semicolons between the columns"),
        (r": --mapping '[^'=]*=(\w+)' would call them", r": choose “\1” for it to call them"),
        (r": --mapping '[^'=]*=([^']*)' if it is", r": choose “\1” below if it is"),
        (r"; or import with --outside-hours move, or keep", "; or choose below to move it there, or to keep it"),
        (r"; --duplicates says what else may be done", "; choose below what else may be done"),
        (r"or import (?:it )?again with --force", "or tick “Import it all the same”"),
        (r"; or import with --duplicates-in campaign to call it from here as well",
         "; or look for repeats in this campaign alone, to call it from here as well"),
        (r"use --duplicates-in campaign, or --duplicates skip", "look for repeats in the campaign, or leave them out"),
        (r": `dialer list show` lists them", ""),
        (r"; if the column means something else, --mapping '[^']*'=custom",
         "; if the column means something else, choose “keep under its name” for it"),
    )
)  # fmt: skip

_BELOW = re.compile(r"choose( what it is)? below")


def on_page(sentence: str, over: bool = False) -> str:
    """Return a sentence of ours with the remedies of a page. `over`: the choices of the file's page are gone."""
    for pattern, words in _ON_PAGES:
        sentence = pattern.sub(words, sentence)
    return _BELOW.sub(r"upload the file again and choose\1", sentence) if over else sentence
