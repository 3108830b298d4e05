"""The rules of delivery by literal tables."""

import base64
import hmac
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery import rules
from tests.factories import utc

NOW = utc("2026-03-10T12:00")
KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 10), (2, 60), (3, 300), (4, 900), (5, 3600), (6, 10800), (7, 21600), (8, 43200), (9, 86400), (10, 86400)],
)
def test_pauses_grow_and_vary_by_a_fifth(attempt: int, seconds: int) -> None:
    assert rules.retry_delay(attempt, 0.5) == timedelta(seconds=seconds)
    assert rules.retry_delay(attempt, 0.0) == timedelta(seconds=seconds) * 0.8
    assert rules.retry_delay(attempt, 1.0) == timedelta(seconds=seconds) * 1.2


def test_the_eleventh_attempt_is_the_last_after_three_days() -> None:
    assert rules.MAX_ATTEMPTS == 11
    assert rules.retry_delay(11, 0.5) is None
    assert rules.retry_delay(11, 0.5, timedelta(seconds=1)) is None
    assert timedelta(days=2.5) < sum(rules.DELAYS, timedelta()) < timedelta(days=3)
    assert all(earlier <= later for earlier, later in pairwise(rules.DELAYS))


@pytest.mark.parametrize(
    ("attempt", "asked", "seconds"),
    [(1, 120, 120), (1, 5, 10), (1, 0, 10), (5, 60, 3600), (1, 86400, 86400), (1, 86401, 86400), (1, 10**9, 86400)],
)
def test_a_receiver_may_ask_for_longer_pauses_of_up_to_a_day(attempt: int, asked: int, seconds: int) -> None:
    assert rules.retry_delay(attempt, 0.5, timedelta(seconds=asked)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 10 Mar 2026 12:01:00 GMT", 60),
        ("Tue, 10 Mar 2026 11:00:00 GMT", 0),
        ("Tue, 10 Mar 2026 13:01:00 +0100", 60),
        ("Tuesday, 10-Mar-26 12:01:00 GMT", 60),
        ("9" * 5000, 86400),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Tue, 99 Mar 2026 12:01:00 GMT", None),
        ("Mon, 01 Jan 2026 25:00:00 +99999999999999999", None),
        ("Thu, 01 Jan 2026 12:00:00 +99999999999999999", None),
        ("01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 251_629_243_139),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    found = rules.parse_retry_after(value, NOW)
    assert found == (None if seconds is None else timedelta(seconds=seconds))


DATE_TOKENS = st.one_of(
    st.sampled_from(
        ["Mon,", "Tuesday,", "Jan", "Mar", "GMT", "EST", "-0000", "12:01:00", "25:00:00", "0.0.0", "-", "+"]
    ),
    st.integers(0, 10**25).map(str),
    st.integers(-(10**25), 10**25).map("{:+}".format),
)
DATES = st.one_of(
    st.lists(DATE_TOKENS, max_size=8).map(" ".join),
    st.builds("{} Jan {} {}:00:00 {:+}".format, *[st.integers(0, 10**25)] * 3, st.integers(-(10**25), 10**25)),
    st.builds("1 Jan {} {}:00:00 {:+}".format, *[st.integers(1, 9999)] * 2, st.integers(-(10**25), 10**25)),
)


@given(st.text(max_size=60) | DATES)
def test_no_retry_after_breaks_anything(value: str) -> None:
    found = rules.parse_retry_after(value, NOW)
    assert found is None or found >= timedelta()


URL = "https://hooks.example.com/hooks/T0KEN%2Fa?key=s3cret+k%C3%A9y&b=1"


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"Cannot POST /hooks/T0KEN%2Fa?key=s3cret+k%C3%A9y&b=1", b"Cannot POST [url]"),
        (
            b"Cannot POST /hooks/T0KEN%2Fa?key=s3cret+k%C3%A9y&amp;b=1</pre>",
            b"Cannot POST [url]?key=[url]&amp;b=1</pre>",
        ),
        (b"No route for '/hooks/t0ken%2fa'.", b"No route for '[url]'."),
        ("/hooks/T0KEN/a?key=s3cret kéy&b=1".encode(), b"[url]"),
        (b"token: T0KEN%2Fa, T0KEN/a", b"token: [url], [url]"),
        ('{"key": "s3cret kéy"}'.encode(), b'{"key": "[url]"}'),
        (b"/hooks/T0KEN%2Fa" * 3, b"[url]" * 3),
        # It breaks off in the middle.
        (b"Cannot POST /hooks/T0KEN%2", b"Cannot POST [url]"),
        (b"Cannot POST /hooks/T0KEN%2Fa?key=s3cr", b"Cannot POST [url]"),
        (b"token: T0KEN", b"token: T0KEN"),
        (b"token: T0KEN%", b"token: [url]"),
        (b"The hooks are down, key=b", b"The hooks are down, key=b"),
        (b"\0\xff", b"\0\xff"),
        (b"", b""),
    ],
)
def test_an_answer_that_echoes_the_url_is_kept_without_it(answer: bytes, kept: bytes) -> None:
    assert rules.without_url(answer, URL) == kept


@pytest.mark.parametrize("url", ["https://hooks.example.com", "https://hooks.example.com/", "https://a.example/?"])
def test_a_url_without_a_path_changes_no_answer(url: str) -> None:
    answer = b"POST / https://hooks.example.com/ ?"
    assert rules.without_url(answer, url) == answer


@given(st.text("/abc%2?=&", max_size=30), st.integers(0, 60))
def test_no_path_is_kept_wherever_the_answer_ends(tail: str, end: int) -> None:
    url = f"https://hooks.example.com/s3cret-t0ken{tail}"
    answer = f"Cannot POST {url.removeprefix('https://hooks.example.com')} here".encode()
    assert b"s3cret" not in rules.without_url(answer[:end], url)


def test_a_signature_is_that_of_the_specifications_own_example() -> None:
    found = rules.signatures([KEY], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_both() -> None:
    other = b"another key of 24 bytes."
    both = rules.signatures([other, KEY], "msg_a", 1, b"{}")
    expected = [base64.b64encode(hmac.new(key, b"msg_a.1.{}", sha256).digest()).decode() for key in (other, KEY)]
    assert both == f"v1,{expected[0]} v1,{expected[1]}"


def test_a_message_is_named_after_its_id() -> None:
    assert rules.message_name(UUID(int=1)) == "msg_00000000000000000000000000000001"


def test_a_secret_is_the_key_in_base64() -> None:
    assert rules.decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == KEY
    assert rules.decode_secret("whsec_" + base64.b64encode(b"k" * 64).decode()) == b"k" * 64


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_é",
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^a secret must be whsec_ and base64 of 24 to 64 bytes$"):
        rules.decode_secret(secret)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.216.34", True),
        ("2606:4700:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("2002:808:808::1", True),
        ("0.0.0.0", False),  # noqa: S104 - It is judged, not listened on.
        ("0.1.2.3", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("192.88.99.1", False),
        ("168.63.129.16", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("233.252.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::8.8.8.8", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:a9fe:a9fe", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::8.8.8.8", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2002:c0a8:101::1", False),
        ("2001::1", False),
        ("2001:0:808:808:0:0:f7f7:f7f7", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("2606:4700:4700::1111%1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("100::1", False),
        ("4000::1", False),
    ],
)
def test_only_hosts_of_the_internet_are_public(address: str, public: bool) -> None:
    assert rules.is_public(address) is public


@given(st.ip_addresses(v=4))
def test_an_address_in_another_form_is_judged_as_itself(address: object) -> None:
    plain = rules.is_public(str(address))
    assert rules.is_public(f"::ffff:{address}") is plain
    assert rules.is_public(f"64:ff9b::{address}") is plain


@pytest.mark.parametrize("address", ["", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1"])
def test_what_is_no_address_is_no_judgement(address: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        rules.is_public(address)


@pytest.mark.parametrize(
    ("now", "at", "zone", "moment"),
    [
        ("2026-03-10T08:00", "08:00", "UTC", "2026-03-10T08:00"),
        ("2026-03-10T07:59", "08:00", "UTC", "2026-03-09T08:00"),
        ("2026-03-10T23:59", "00:00", "UTC", "2026-03-10T00:00"),
        ("2026-03-10T07:00", "08:00", "Europe/Berlin", "2026-03-10T07:00"),
        ("2026-03-10T06:59", "08:00", "Europe/Berlin", "2026-03-09T07:00"),
        # Summer: eight o'clock is an hour earlier. The clocks go forward on the 29th.
        ("2026-03-29T06:00", "08:00", "Europe/Berlin", "2026-03-29T06:00"),
        ("2026-03-29T05:59", "08:00", "Europe/Berlin", "2026-03-28T07:00"),
        # Half past two does not exist that day and is half past three.
        ("2026-03-29T01:30", "02:30", "Europe/Berlin", "2026-03-29T01:30"),
        ("2026-03-29T01:29", "02:30", "Europe/Berlin", "2026-03-28T01:30"),
        # And comes twice on the 25th of October, of which the first counts.
        ("2026-10-25T00:30", "02:30", "Europe/Berlin", "2026-10-25T00:30"),
        ("2026-10-25T01:30", "02:30", "Europe/Berlin", "2026-10-25T00:30"),
        # The zone's day is another one than UTC's.
        ("2026-03-10T19:00", "08:00", "Pacific/Auckland", "2026-03-10T19:00"),
        ("2026-03-10T18:59", "08:00", "Pacific/Auckland", "2026-03-09T19:00"),
    ],
)
def test_the_last_digest_was_when_the_clocks_showed_its_time(now: str, at: str, zone: str, moment: str) -> None:
    assert rules.last_digest(utc(now), time.fromisoformat(at), ZoneInfo(zone)) == utc(moment)


@given(
    st.integers(1_577_836_800, 1_893_456_000),
    st.times(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"]),
)
def test_a_digest_is_never_in_the_future_nor_much_older_than_a_day(seconds: int, at: time, zone: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    moment = rules.last_digest(now, at, ZoneInfo(zone))
    assert timedelta() <= now - moment < timedelta(hours=26)
