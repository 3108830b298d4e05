"""How client names are compared."""

import unicodedata


def name_key(name: str) -> str:
    """Return the form of a name that is searched and sorted by: composed, and without regard to case.

    It is computed here rather than by the database, whose idea of a letter's case depends on its locale.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
