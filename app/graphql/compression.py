"""Compressing what goes to browsers."""

import gzip
import re
from collections.abc import Mapping

# A shorter answer fits into one packet either way.
MIN_BYTES = 1_000


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether the headers of a request name gzip among the encodings of the answer, and do not rule it out."""
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() == "gzip":
            return re.fullmatch(r"q=0(\.0*)?", parameters.replace(" ", "")) is None
    return False


def compressed(content: bytes, level: int = 5) -> bytes:
    """Return the content in gzip's format, the same for the same content."""
    return gzip.compress(content, level, mtime=0)
