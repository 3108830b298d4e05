"""Slack, Microsoft Teams and e-mail through apprise, the optional extra `notify`."""

import logging
import re
from functools import cache
from typing import Any

from app.delivery.models import AttemptOutcome
from app.delivery.outcomes import Outcome

# The services that may be named, by the names that their URLs begin with. Apprise knows many more, some of which run
# programs or write to the machine that they are on.
SERVICES = ("slack://", "workflows:// (Microsoft Teams)", "mailto://", "mailtos://")
_KNOWN = {"NotifySlack": "slack", "NotifyWorkflows": "workflows", "NotifyEmail": "mailto"}

# What apprise says of an HTTP status, in the one line that it logs.
_STATUS = re.compile(r"error=(\d{3})\b")

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+\-.!|<>~]")
_LINK = re.compile(r"https?://[\w.:\[\]-]+/[\w/-]*")


@cache
def _apprise() -> Any:
    """Return the package, which may be missing and takes a third of a second to import, and keep it from the log."""
    for name in ("apprise", "urllib3"):
        # Both write hosts, paths and whole messages, at the level of warnings and of debugging.
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    import apprise  # noqa: PLC0415

    return apprise


def _plugin(url: str) -> Any:
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="Client Health",
        app_desc="Client Health",
        app_url="",
        http_redirects=False,
        secure_logging=True,
        default_service_retry=0,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode="memory",
        # It would stop waiting, and its thread would go on and send what is then sent again.
        service_timeout=0,
    )
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def service_of(url: str) -> str | None:
    """Return which of the known services a URL of apprise names: slack, workflows or mailto; None for any other."""
    return _KNOWN.get(type(_plugin(url)).__name__)


def notify(url: str, recipient: str, title: str, text: str, *, timeout: float) -> Outcome:
    """Send a message, without attachments and without following redirects, and return what came of it.

    With a recipient the e-mail goes to that address and nobody else. It blocks until nothing can be sent any more: a
    dialogue of some ten steps, each of which may take half of `timeout` seconds.
    """
    apprise = _apprise()
    plugin = _plugin(url)
    # Whatever the URL asks for itself.
    plugin.redirects = False
    plugin.socket_connect_timeout = plugin.socket_read_timeout = timeout / 2
    if recipient:
        # Set past the URL, in which an address could mean more than an address.
        plugin.targets = [(False, recipient)]
        plugin.cc, plugin.bcc = set(), set()
    sender = apprise.Apprise(asset=plugin.asset)
    sender.add(plugin)
    said: list[str] = []
    # Teams knows no plain text, and its links must not be escaped as apprise would.
    as_markdown = _KNOWN[type(plugin).__name__] == "workflows"
    result = sender.notify(
        title=_escaped(title) if as_markdown else title,
        body="\n\n".join(_escaped(line) for line in text.splitlines() if line) if as_markdown else text,
        notify_type=apprise.NotifyType.WARNING,
        body_format=apprise.NotifyFormat.MARKDOWN if as_markdown else apprise.NotifyFormat.TEXT,
        log_callback=lambda entry, _service: said.append(entry.message),
    )
    if result:
        return Outcome(AttemptOutcome.DELIVERED)
    status = next((int(match[1]) for line in said if (match := _STATUS.search(line))), None)
    if status is not None:
        return Outcome(AttemptOutcome.REFUSED, status, problem=f"The service answered with the status {status}.")
    return Outcome(AttemptOutcome.UNREACHABLE, problem="The service did not accept the message, or was not reached.")


def _escaped(line: str) -> str:
    """Return a line of text as Markdown that shows it as it is; one that is a link stays a link."""
    return line if _LINK.fullmatch(line) else _MARKDOWN.sub(r"\\\g<0>", line)
