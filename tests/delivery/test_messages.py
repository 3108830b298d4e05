"""What messages say, to programs and to people."""

from typing import Any

import orjson
import pytest

from app.delivery import messages
from app.graphql.pagination import global_id
from tests.factories import utc

NOW = utc("2026-03-10T12:00")
URL = "https://health.example.com"


@pytest.mark.parametrize(("type_name", "key"), [("Client", 1), ("Alert", 2**63 - 1), ("Run", 42)])
def test_an_id_is_that_of_the_api_and_leads_to_the_page(type_name: str, key: int) -> None:
    assert messages.api_id(type_name, key) == global_id(type_name, key)
    assert messages.page_of(URL, type_name, key) == f"{URL}/{type_name.lower()}s/{global_id(type_name, key)}"


def alert(number: int, name: str = "Acme") -> dict[str, Any]:
    data = messages.sample_data(NOW, URL)
    client = data["client"] | {"name": name}
    return data | {"message": f"{name} {number} fell.", "client": client}


def test_people_read_what_happened_why_and_where_to_look() -> None:
    title, text = messages.title_and_text(messages.body_of(messages.RAISED, NOW, alert(1)))
    assert title == "Acme: score 82 to 57"
    assert text.splitlines() == [
        "Acme 1 fell.",
        "-25.0 points: 0 of 4 cases closed in the last 30 days were closed on time, 4 of 4 before.",
        f"{URL}/clients/{global_id('Client', 1)}",
    ]


def test_a_name_with_a_line_break_does_not_break_the_title() -> None:
    title, _ = messages.title_and_text(messages.body_of(messages.RAISED, NOW, alert(1, "Acme\r\nBcc: a@b.example")))
    assert title == "Acme Bcc: a@b.example: score 82 to 57"


def test_a_digest_counts_what_it_does_not_list() -> None:
    data = messages.digest_data("amara@csm.example", 1234, [alert(number) for number in range(100)], URL)
    assert (data["count"], len(data["alerts"])) == (1234, 100)
    title, text = messages.title_and_text(messages.body_of(messages.DIGEST, NOW, data))
    assert title == "1,234 alerts for clients of amara@csm.example"
    lines = text.splitlines()
    assert lines[0] == "Acme 0 fell."
    assert lines[-4:] == ["And 1134 more.", "", "All alerts:", f"{URL}/alerts"]


def test_a_digest_of_one_says_so() -> None:
    data = messages.digest_data(None, 1, [alert(1)], URL)
    title, text = messages.title_and_text(messages.body_of(messages.DIGEST, NOW, data))
    assert title == "1 alert for clients"
    assert text.splitlines()[-3:] == ["", "All alerts:", f"{URL}/alerts"]


def test_held_alerts_ask_for_a_decision() -> None:
    data = messages.held_data(7, {"alerts": 30, "clients": 1000}, URL)
    body = messages.body_of(messages.HELD, NOW, data)
    assert orjson.loads(body) == {
        "type": "alerts.held",
        "timestamp": "2026-03-10T12:00:00Z",
        "data": {
            "run": global_id("Run", 7),
            "alerts": 30,
            "clients": 1000,
            "message": "30 alerts for 1,000 scored clients are held back: more than a feed that works would cause. "
            "Look at the data, then release or discard them.",
            "link": f"{URL}/alerts",
        },
    }
    title, text = messages.title_and_text(body)
    assert (title, text.splitlines()[-1]) == ("Alerts are held back: 30", f"{URL}/alerts")
