"""The file of channels: what it may say, and that everything else is refused by the channel's name."""

from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.clients.models import EngagementModel
from app.delivery.channels import Channel, allowed_hosts_of, read_channels
from app.delivery.models import ChannelKind, ChannelMode
from app.errors import InvalidInput
from app.health.rules import RiskLevel
from app.settings import Settings

NONE = frozenset[str]()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
WEBHOOK = f'[[channel]]\nname = "ops"\nkind = "webhook"\nurl = "https://inbox.example/a"\nsecrets = ["{SECRET}"]\n'
MAIL = (
    '[[channel]]\nname = "owners"\nkind = "apprise"\nurl = "mailtos://me:hunter2@mail.example?from=me@mail.example"\n'
)


def read(folder: Path, content: str, allowed: frozenset[str] = NONE) -> dict[str, Channel]:
    path = folder / "channels.toml"
    path.write_text(content, encoding="utf-8")
    return dict(read_channels(path, allowed))


def test_without_a_file_there_is_no_channel() -> None:
    assert read_channels(None, NONE) == {}


def test_a_webhook_takes_everything_unless_it_says_otherwise(tmp_path: Path) -> None:
    [channel] = read(tmp_path, WEBHOOK).values()
    assert channel == Channel(
        "ops",
        ChannelKind.WEBHOOK,
        "https://inbox.example/a",
        (b"1\xf2\x90\xf6\xbf\x06)\x8a\xabO\x08\xd4<?\x08,\xf6H\xa3b\xda-\xa4\xb0",),
        engagement_models=None,
        risks=None,
        to_owner=False,
        mode=None,
        digest_at=time(8),
    )


def test_everything_can_be_said(tmp_path: Path) -> None:
    more = 'engagement_models = ["PLG"]\nrisks = ["HIGH", "MEDIUM"]\nmode = "digest"\ndigest_at = 07:30:00\n'
    rotated = WEBHOOK.replace(f'["{SECRET}"]', f'["{OTHER}", "{SECRET}"]')
    found = read(tmp_path, rotated + more + MAIL + 'to_owner = true\nmode = "each"\n')
    assert list(found) == ["ops", "owners"]
    ops, owners = found.values()
    assert ops.keys[0] == bytes(24)
    assert (ops.engagement_models, ops.risks) == ((EngagementModel.PLG,), (RiskLevel.HIGH, RiskLevel.MEDIUM))
    assert (ops.mode, ops.digest_at) == (ChannelMode.DIGEST, time(7, 30))
    assert (owners.kind, owners.to_owner, owners.mode) == (ChannelKind.APPRISE, True, ChannelMode.EACH)


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "workflows://prod-1.logic.azure.com:443/643a/abc/",
        "https://prod-00.westus.logic.azure.com:443/workflows/643e/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abc",
        "mailto://127.0.0.1:2525?from=a@b.example",
    ],
)
def test_slack_teams_and_mail_are_known(tmp_path: Path, url: str) -> None:
    content = f'[[channel]]\nname = "people"\nkind = "apprise"\nurl = "{url}"\n'
    assert read(tmp_path, content)["people"].url == url


def test_an_allowed_host_may_be_inside_and_without_tls(tmp_path: Path) -> None:
    for host in ("hooks.internal", "10.0.0.7", "localhost"):
        content = WEBHOOK.replace("https://inbox.example/a", f"http://{host}:8080/a")
        assert read(tmp_path, content, frozenset({host}))["ops"].url == f"http://{host}:8080/a"


def test_what_only_the_receiver_may_know_is_never_printed(tmp_path: Path) -> None:
    for channel in read(tmp_path, WEBHOOK + MAIL).values():
        for secret in ("inbox.example", "hunter2", "mail.example", "MfKQ", r"\xf2"):
            assert secret not in repr(channel)
            assert secret not in str(channel)


def test_a_fingerprint_changes_with_the_url_and_the_secrets_and_with_nothing_else(tmp_path: Path) -> None:
    def fingerprint(content: str) -> bytes:
        return next(iter(read(tmp_path, content).values())).fingerprint()

    first = fingerprint(WEBHOOK)
    assert fingerprint(WEBHOOK + 'mode = "digest"\n') == first
    others = {
        fingerprint(WEBHOOK.replace("/a", "/b")),
        fingerprint(WEBHOOK.replace(SECRET, OTHER)),
        fingerprint(WEBHOOK.replace(f'["{SECRET}"]', f'["{SECRET}", "{OTHER}"]')),
        fingerprint(WEBHOOK.replace('"ops"', '"dev"')),
    }
    assert len(others | {first}) == 5


WRONG = [
    ("name = 1", "must consist of tables named [[channel]]"),
    ("nonsense", "is not TOML"),
    ("[channel]\nname = 'a'", "must consist of tables named [[channel]]"),
    ("[[channels]]\nname = 'a'", "must consist of tables named [[channel]]"),
    ("channel = 5", "must consist of tables named [[channel]]"),
    ("", "must consist of tables named [[channel]]"),
    ("channel = [5]", "channel 1 needs a name"),
    ("[[channel]]\nkind = 'webhook'", "channel 1 needs a name"),
    (WEBHOOK.replace('"ops"', '"Ops"'), "channel 1 needs a name of small letters, digits and hyphens, at most 63"),
    (WEBHOOK.replace('"ops"', '""'), "channel 1 needs a name"),
    (WEBHOOK.replace('"ops"', f'"{"a" * 64}"'), "channel 1 needs a name"),
    (WEBHOOK + WEBHOOK, "the name ops is used twice"),
    (WEBHOOK + "secret = 'a'\n", "channel ops: secret is unknown; known are digest_at, engagement_models, kind"),
    (WEBHOOK.replace('"webhook"', '"email"'), "channel ops: kind must be webhook or apprise"),
    (WEBHOOK.replace('kind = "webhook"\n', ""), "channel ops: kind must be webhook or apprise"),
    (WEBHOOK.replace('url = "https://inbox.example/a"\n', ""), "channel ops: url must be text"),
    (WEBHOOK.replace("https://inbox.example/a", "ftp://inbox.example"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("https://inbox.example/a", "https:///a"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("https://inbox.example/a", "https://a:99999/"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("https://inbox.example/a", "https://[::1/"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("/a", "/a b"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("/a", "/ä"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("/a", r"/a\r\nX: y"), "channel ops: url must look like https://"),
    (WEBHOOK.replace("https://", "http://"), "channel ops: url must begin with https://, unless ALERT_ALLOWED_HOSTS"),
    (WEBHOOK.replace("https://", "https://me:hunter2@"), "channel ops: url must not hold a user or a password"),
    (WEBHOOK.replace("inbox.example", "10.0.0.1"), "channel ops: url names an internal address; ALERT_ALLOWED_HOSTS"),
    (WEBHOOK.replace("inbox.example", "[::1]"), "channel ops: url names an internal address; ALERT_ALLOWED_HOSTS"),
    (WEBHOOK.replace(f'secrets = ["{SECRET}"]\n', ""), "channel ops: secrets must be a list of one secret, or of two"),
    (WEBHOOK.replace(f'["{SECRET}"]', f'"{SECRET}"'), "channel ops: secrets must be a list of one secret, or of two"),
    (WEBHOOK.replace(f'["{SECRET}"]', "[]"), "channel ops: secrets must be a list of one secret, or of two"),
    (WEBHOOK.replace(f'["{SECRET}"]', "[1]"), "channel ops: secrets must be a list of one secret, or of two"),
    (WEBHOOK.replace(f'["{SECRET}"]', f'["{SECRET}", "{OTHER}", "{OTHER}"]'), "channel ops: secrets must be a list"),
    (WEBHOOK.replace("whsec_", "whsecret_"), "channel ops: a secret must be whsec_ and base64 of 24 to 64 bytes"),
    (WEBHOOK.replace("LaLaSw", "La"), "channel ops: a secret must be whsec_ and base64 of 24 to 64 bytes"),
    (WEBHOOK + "engagement_models = []\n", "channel ops: engagement_models must be a list of HIGH_TOUCH or PLG"),
    (WEBHOOK + "engagement_models = ['plg']\n", "channel ops: engagement_models must be HIGH_TOUCH or PLG"),
    (WEBHOOK + "risks = 'HIGH'\n", "channel ops: risks must be a list of LOW or MEDIUM or HIGH"),
    (WEBHOOK + "risks = [1]\n", "channel ops: risks must be LOW or MEDIUM or HIGH"),
    (WEBHOOK + "to_owner = 1\n", "channel ops: to_owner must be true or false"),
    (WEBHOOK + "to_owner = true\n", "channel ops: to_owner is for e-mail"),
    (WEBHOOK + "mode = 'daily'\n", "channel ops: mode must be each or digest"),
    (WEBHOOK + "digest_at = '08:00'\n", "channel ops: digest_at must be a time without quotes, as in 08:00:00"),
    (WEBHOOK + "digest_at = 25:00:00\n", "is not TOML"),
    (MAIL + f"secrets = ['{SECRET}']\n", "channel owners: secrets are for webhooks"),
    (MAIL.replace("mailtos://", "json://"), "channel owners: url must be one that apprise knows, of slack:// or"),
    (MAIL.replace("mailtos://", "nobody://"), "channel owners: url must be one that apprise knows, of slack:// or"),
    (MAIL.replace("mailtos://me:hunter2@mail.example?from=me@mail.example", "syslog://"), "must be one that apprise"),
    (
        '[[channel]]\nname = "people"\nkind = "apprise"\nto_owner = true\n'
        'url = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"\n',
        "channel people: to_owner needs a url of mailto:// or mailtos://",
    ),
]


@pytest.mark.parametrize(("content", "problem"), WRONG)
def test_what_is_wrong_is_refused_with_what_would_be_right(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, content)
    assert refused.value.field == "ALERT_CHANNELS"
    assert refused.value.message.startswith("ALERT_CHANNELS: ")
    assert problem in refused.value.message
    # Wherever the message ends up, it tells nobody how to pass for us or where to.
    for secret in ("MfKQ", "AAAA", "hunter2", "inbox.example", "mail.example", "TIiaj"):
        assert secret not in refused.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^ALERT_CHANNELS: .*/none\.toml cannot be read: No such file"):
        read_channels(tmp_path / "none.toml", NONE)
    with pytest.raises(InvalidInput, match=r"cannot be read: Is a directory"):
        read_channels(tmp_path, NONE)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not TOML"):
        read_channels(binary, NONE)


def test_channels_need_an_address_to_link_to() -> None:
    with pytest.raises(ValidationError, match="ALERT_CHANNELS needs PUBLIC_URL"):
        Settings(alert_channels=Path("channels.toml"))


@pytest.mark.parametrize("hosts", ["http://a.example", "a.example:80", "a/b", "a b", "*"])
def test_an_allowed_host_that_is_none_is_refused(hosts: str) -> None:
    with pytest.raises(ValidationError, match="ALERT_ALLOWED_HOSTS must be names or addresses without ports"):
        Settings(alert_allowed_hosts=hosts)


def test_allowed_hosts_are_a_list() -> None:
    settings = Settings(alert_allowed_hosts=" Hooks.Internal, 10.0.0.7,::1,, ")
    assert allowed_hosts_of(settings.alert_allowed_hosts) == {"hooks.internal", "10.0.0.7", "::1"}
    assert allowed_hosts_of("") == frozenset()
