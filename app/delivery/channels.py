"""The operator's channels: read from a TOML file and checked, so that what is wrong is known before anything runs."""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.clients.models import EngagementModel
from app.delivery.models import ChannelKind, ChannelMode
from app.delivery.notify import SERVICES, service_of
from app.delivery.rules import decode_secret, is_public
from app.errors import InvalidInput
from app.health.rules import RiskLevel

SETTING = "ALERT_CHANNELS"
DIGEST_AT = time(8)
MAX_SECRETS = 2

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEYS = {"name", "kind", "url", "secrets", "engagement_models", "risks", "to_owner", "mode", "digest_at"}


@dataclass(frozen=True, slots=True)
class Channel:
    """One configured channel; what only its receiver may know is never printed."""

    name: str
    kind: ChannelKind
    url: str = field(repr=False)
    # The keys of a webhook's signatures, the newest first.
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    engagement_models: tuple[EngagementModel, ...] | None = None
    risks: tuple[RiskLevel, ...] | None = None
    to_owner: bool = False
    mode: ChannelMode | None = None
    digest_at: time = DIGEST_AT

    def fingerprint(self) -> bytes:
        """Return what changes with the URL or the keys; too costly to compute to find out a password by trying."""
        content = b"\0".join((self.url.encode(), *(key.hex().encode() for key in self.keys)))
        return hashlib.scrypt(content, salt=self.name.encode(), n=2**14, r=8, p=1, dklen=16)


def read_channels(path: Path | None, allowed_hosts: frozenset[str]) -> Mapping[str, Channel]:
    """Return the channels of the file by name; none without a file.

    Raises InvalidInput with the setting, the channel and what would be right, and never a URL or a secret.
    """
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise _refusal(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The message of a TOML error names the place and quotes no value.
        raise _refusal(f"{path} is not TOML: {error}") from error
    tables = content.pop("channel", None)
    if content or not isinstance(tables, list):
        raise _refusal(f"{path} must consist of tables named [[channel]]")
    found: dict[str, Channel] = {}
    for number, table in enumerate(tables, 1):
        name = table.get("name") if isinstance(table, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _refusal(f"channel {number} needs a name of small letters, digits and hyphens, at most 63")
        if name in found:
            raise _refusal(f"the name {name} is used twice")
        try:
            found[name] = _channel(name, table, allowed_hosts)
        except ValueError as error:
            raise _refusal(f"channel {name}: {error}") from error
    return found


def _refusal(problem: str) -> InvalidInput:
    return InvalidInput(SETTING, f"{SETTING}: {problem}.")


def _channel(name: str, table: Mapping[str, Any], allowed_hosts: frozenset[str]) -> Channel:
    """Return the channel of a table. Raises ValueError."""
    if unknown := sorted(table.keys() - _KEYS):
        raise ValueError(f"{unknown[0]} is unknown; known are {', '.join(sorted(_KEYS))}")
    kind = _one_of("kind", table.get("kind"), {"webhook": ChannelKind.WEBHOOK, "apprise": ChannelKind.APPRISE})
    url = table.get("url")
    if not isinstance(url, str):
        raise ValueError("url must be text")  # noqa: TRY004 - A value of a file, not an argument.
    modes = {mode.lower(): mode for mode in ChannelMode}
    channel = Channel(
        name,
        kind,
        url,
        keys=_keys(kind, table),
        engagement_models=_some_of("engagement_models", table, {model.value: model for model in EngagementModel}),
        risks=_some_of("risks", table, {risk.value: risk for risk in RiskLevel}),
        to_owner=_flag("to_owner", table),
        mode=_one_of("mode", table["mode"], modes) if "mode" in table else None,
        digest_at=_time("digest_at", table),
    )
    if kind is ChannelKind.WEBHOOK:
        _check_webhook(channel, allowed_hosts)
    else:
        _check_apprise(channel)
    return channel


def _check_webhook(channel: Channel, allowed_hosts: frozenset[str]) -> None:
    if channel.to_owner:
        raise ValueError("to_owner is for e-mail, of the kind apprise with a url of mailto:// or mailtos://")
    host = check_url(channel.url, allowed_hosts)
    try:
        public = host in allowed_hosts or is_public(host)
    except ValueError:
        # A name: what it stands for is looked at with every request.
        return
    if not public:
        raise ValueError("url names an internal address; ALERT_ALLOWED_HOSTS lists those that may be reached")


def check_url(url: str, allowed_hosts: frozenset[str]) -> str:
    """Return the host of a webhook's URL, in small letters. Raises ValueError, without the URL."""
    try:
        parts = urlsplit(url)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise ValueError("url must look like https://hooks.example.com/path") from error
    if parts.scheme not in {"https", "http"} or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("url must look like https://hooks.example.com/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url must not hold a user or a password: receivers know a webhook by its signature")
    if parts.scheme == "http" and host not in allowed_hosts:
        raise ValueError("url must begin with https://, unless ALERT_ALLOWED_HOSTS lists its host")
    return host


def _check_apprise(channel: Channel) -> None:
    if find_spec("apprise") is None:
        raise ValueError("the kind apprise needs the extra notify: pip install 'client-health[notify]'")
    service = service_of(channel.url)
    if service is None:
        raise ValueError(f"url must be one that apprise knows, of {' or '.join(SERVICES)}")
    if channel.to_owner and service != "mailto":
        raise ValueError("to_owner needs a url of mailto:// or mailtos://")


def _keys(kind: ChannelKind, table: Mapping[str, Any]) -> tuple[bytes, ...]:
    secrets = table.get("secrets")
    if kind is not ChannelKind.WEBHOOK:
        if secrets is not None:
            raise ValueError("secrets are for webhooks")
        return ()
    known = isinstance(secrets, list) and all(isinstance(secret, str) for secret in secrets)
    if not known or not 1 <= len(secrets or []) <= MAX_SECRETS:
        raise ValueError("secrets must be a list of one secret, or of two while one replaces the other")
    return tuple(decode_secret(secret) for secret in secrets or [])


def _one_of(key: str, value: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{key} must be {' or '.join(known)}")
    return known[value]


def _some_of(key: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[Any, ...] | None:
    if key not in table:
        return None
    values = table[key]
    if not isinstance(values, list) or not values:
        raise ValueError(f"{key} must be a list of {' or '.join(known)}")
    return tuple(_one_of(key, value, known) for value in values)


def _flag(key: str, table: Mapping[str, Any]) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false")  # noqa: TRY004 - The same.
    return value


def _time(key: str, table: Mapping[str, Any]) -> time:
    value = table.get(key, DIGEST_AT)
    if not isinstance(value, time):
        raise ValueError(f"{key} must be a time without quotes, as in 08:00:00")  # noqa: TRY004 - The same.
    return value


def allowed_hosts_of(names: str) -> frozenset[str]:
    """Return the hosts of a comma-separated list, as ALERT_ALLOWED_HOSTS holds it."""
    return frozenset(filter(None, names.split(",")))
