"""How client names are compared, and what is left of the id of a client that is erased."""

import unicodedata

# What the external id of a client begins with from the first step of its erasure on, while it still has members.
ERASED = "erased:"


def name_key(name: str) -> str:
    """Return the form of a name that is searched and sorted by: composed, and without regard to case.

    It is computed here rather than by the database, whose idea of a letter's case depends on its locale.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
