"""What the README shows of events is understood."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

from app.events.facts import read
from app.events.mapping import read_mapping, vocabulary
from app.events.rules import EventType

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_mapping_is_read(tmp_path: Path) -> None:
    [block] = re.findall(r"^ +```toml\n(.*?)^ +```$", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "events.toml"
    path.write_text(dedent(block))
    rule = read_mapping(path)["incidentfiled"]
    assert rule.name == "case_opened"
    assert rule.properties == {"case": ("incidentNumber",), "sla_due_at": ("respondBy",)}


def test_the_message_is_a_login() -> None:
    [body] = re.findall(r"/v1/track .* -d '\n(.*?)'$", README, re.DOTALL | re.MULTILINE)
    at = datetime(2026, 11, 21, 8, 15, tzinfo=UTC)
    message = read(json.loads(body), EventType.TRACK, vocabulary(), made_id="made", received_at=at, oldest=at.date())
    assert (message.fact, message.member, message.at, message.message_id) == ("logged_in", "user-17", at, "5f0c")
