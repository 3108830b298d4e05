"""When a delivery is attempted again, how a webhook is signed, where it may go, and what is kept of its answer."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote, unquote_plus, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

# The pauses between attempts, three days in all; the attempt behind the last one is the last.
DELAYS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=24),
)
MAX_ATTEMPTS = len(DELAYS) + 1
# A pause may be so much shorter or longer, so that what failed together does not come back together.
JITTER = 0.2
# A receiver may ask for a longer pause, up to this one.
LONGEST_RETRY_AFTER = timedelta(hours=24)

SECRET_PREFIX = "whsec_"  # noqa: S105 - What every secret begins with.
# What the Standard Webhooks specification asks of a secret.
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64

# What stands in a receiver's answer for the URL, and of how many characters a part of it, or its beginning, may be a
# secret: fewer would take away ordinary words.
_PLACEHOLDER, _SHORTEST_SECRET = b"[url]", 6

# Global unicast is the only part of IPv6 in which hosts of the internet have their addresses.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Ranges that Python, in one version or another, takes for public: those of protocols and of documentation, Azure's own
# services on every machine, and the old 6to4 relays.
_INTERNAL_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"), IPv4Network("192.88.99.0/24"))
# The first of them holds Teredo, whose tunnels end anywhere behind somebody's NAT.
_INTERNAL_V6 = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))


def retry_delay(attempt: int, random: float, retry_after: timedelta | None = None) -> timedelta | None:
    """Return the pause behind the failed `attempt`, counted from 1; None when it was the last one.

    `random` is from 0 to 1. What the receiver asked for makes the pause longer, up to a day, and never shorter: it
    could use up all attempts at once.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    delay = DELAYS[attempt - 1] * (1 - JITTER + 2 * JITTER * random)
    return delay if retry_after is None else max(delay, min(retry_after, LONGEST_RETRY_AFTER))


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Return the pause that a Retry-After header asks for, as seconds or a date; None for anything else."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        # More digits than any date is far away.
        return timedelta(seconds=int(text)) if len(text) < 10 else LONGEST_RETRY_AFTER
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(moment - now, timedelta())
    except (ValueError, OverflowError):
        # A year or a zone may have more digits than a date can hold.
        return None


def message_name(message_id: UUID) -> str:
    """Return the id that a message is known by outside, the same in every attempt."""
    return f"msg_{message_id.hex}"


def decode_secret(secret: str) -> bytes:
    """Return the key in a secret of the Standard Webhooks specification. Raises ValueError, without the secret."""
    wanted = f"{SECRET_PREFIX} and base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret must be {wanted}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"a secret must be {wanted}")
    return key


def signatures(keys: Sequence[bytes], name: str, timestamp: int, body: bytes) -> str:
    """Return the webhook-signature header: HMAC-SHA256 over id, Unix time and body with every key, newest first."""
    content = b".".join((name.encode(), str(timestamp).encode(), body))
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def without_url(answer: bytes, url: str) -> bytes:
    """Return an answer with a placeholder for whatever it repeats of the URL behind its host, which may be a secret.

    That is the path with and without the query, and each of their parts that is long enough to be a secret, as they are
    and decoded. The end of the answer may hold the beginning of one.
    """
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), parts.query, *(pair.partition("=")[2] for pair in parts.query.split("&"))]
    found = {piece for piece in pieces if len(piece) >= _SHORTEST_SECRET}
    if len(parts.path) > 1:
        found |= {parts.path, f"{parts.path}?{parts.query}".rstrip("?")}
    spelled = {form.encode().lower() for text in found for form in (text, unquote(text), unquote_plus(text))}
    longest_first = sorted(spelled, key=len, reverse=True)
    kept, at, lowered = bytearray(), 0, answer.lower()
    while at < len(answer):
        rest = lowered[at:]
        if len(rest) >= _SHORTEST_SECRET and any(text.startswith(rest) for text in longest_first):
            return bytes(kept + _PLACEHOLDER)
        known = next((text for text in longest_first if rest.startswith(text)), None)
        kept += answer[at : at + 1] if known is None else _PLACEHOLDER
        at += 1 if known is None else len(known)
    return bytes(kept)


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to a host of the internet, seen through forms that carry another in them.

    Loopback, private, shared, link-local, multicast, documentation and reserved ranges do not. A scope makes an
    address local. Raises ValueError for what is no address.
    """
    if "%" in address:
        return False
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return _is_public_v4(found.ipv4_mapped)
        if found in _NAT64:
            return _is_public_v4(IPv4Address(int(found) & 0xFFFF_FFFF))
        if found.sixtofour is not None:
            return _is_public_v4(found.sixtofour)
        return found in _GLOBAL_UNICAST and found.is_global and not any(found in network for network in _INTERNAL_V6)
    return _is_public_v4(found)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in network for network in _INTERNAL_V4)


def last_digest(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """Return the latest moment at or before `now` at which the zone's clocks showed the time of day, in UTC.

    A time that a day leaves out, when clocks go forward, comes as much later; one that a day has twice counts once.
    """
    today = now.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        moment = datetime.combine(day, at, zone).astimezone(UTC)
        if moment <= now:
            return moment
    return datetime.combine(today - timedelta(days=2), at, zone).astimezone(UTC)
