"""What becomes of a message: its parts and traits, and the rows of an import, one for each key."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.events.facts import Facts, Session, facts_of, read
from app.events.mapping import FACTS, vocabulary
from app.events.rules import Message, UnusableEvent

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
OLDEST = date(2025, 2, 8)
AT = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
NUL = "a\0b"
LONG = "x" * 401


def understood(**content: Any) -> Message:
    """Return what an event says, sent on a fixed day."""
    return read(content, None, vocabulary(), made_id="made", received_at=NOW, oldest=OLDEST)


def track(event: str, at: datetime = AT, member: str | None = "ann", **properties: Any) -> Message:
    """Return what a tracked event of the client "acme" says."""
    who = {"anonymousId": "x"} if member is None else {"userId": member}
    content = {"event": event, "timestamp": at.isoformat(), "context": {"groupId": "acme"}, "properties": properties}
    return understood(type="track", **who, **content)


def group(external_id: str, /, **traits: Any) -> Message:
    """Return what a group call says."""
    return understood(type="group", groupId=external_id, timestamp=AT.isoformat(), traits=traits)


def told(*messages: Message, known: dict[str, int] | None = None, features: dict[str, str] | None = None) -> Facts:
    """Return the facts of messages, numbered from 0."""
    known = {"acme": 1} if known is None else known
    return facts_of(list(enumerate(messages)), known=known, traits_at={}, features=features or {})


def rows(facts: Facts, kind: str) -> list[tuple[list[Any], list[int]]]:
    """Return the rows of a kind, each with the numbers of its messages."""
    return [(list(row.values), [number for number, _ in row.messages]) for row in facts.rows.get(kind, {}).values()]


@pytest.mark.parametrize(
    ("event", "properties", "parts"),
    [
        ("Logged In", {}, {"duration_minutes": None}),
        ("Logged In", {"durationMinutes": "12.5"}, {"duration_minutes": Decimal("12.5")}),
        ("Case Opened", {"case_id": 17}, {"case": "17", "sla_due_at": None}),
        ("Case Opened", {"id": " c1 ", "deadline": "2026-04-01"}, {"case": "c1", "sla_due_at": "2026-04-01"}),
        (
            "Case Resolved",
            {"caseId": "c1", "opened_at": "2026-03-01T08:00:00+01:00"},
            {"case": "c1", "opened_at": "2026-03-01T07:00", "sla_due_at": None},
        ),
        (
            "Campaign Closed",
            {"campaign_id": "q1", "name": "Q1", "kind": "attestation", "assigned": 10, "completed": 7.0},
            {"campaign": "q1", "name": "Q1", "kind": "ATTESTATION", "assigned": 10, "completed": 7},
        ),
        (
            "Campaign Closed",
            {"campaign_id": "q1"},
            {"campaign": "q1", "name": None, "kind": None, "assigned": None, "completed": None},
        ),
        ("Attestation Completed", {"campaign_id": "q1"}, {"campaign": "q1"}),
        ("Feature Used", {"feature_name": "Reports"}, {"feature": "Reports"}),
        ("Ticket Created", {"ticket_id": "t", "priority": "High"}, {"ticket": "t", "priority": "High"}),
        ("Ticket Solved", {"id": "t", "priority": ["High"]}, {"ticket": "t", "priority": None}),
    ],
)
def test_the_parts_of_a_fact(event: str, properties: dict[str, Any], parts: dict[str, Any]) -> None:
    found = track(event, **properties)
    times = {"sla_due_at", "opened_at"}
    expected = {
        name: datetime.fromisoformat(value).replace(tzinfo=UTC) if name in times and value else value
        for name, value in parts.items()
    }
    assert dict(found.parts) == expected
    # What it was made of is not kept.
    assert found.details == {}


@pytest.mark.parametrize(
    ("event", "properties", "reason"),
    [
        ("Case Opened", {}, "properties.case_id is missing: Case Opened needs it"),
        ("Case Opened", {"case_id": ""}, "properties.case_id is missing: Case Opened needs it"),
        ("case closed", {"case_id": ["c1"]}, "properties.case_id is missing: case closed needs it"),
        ("Case Opened", {"case_id": LONG}, "properties.case_id is longer than 400 characters"),
        ("Case Opened", {"case_id": NUL}, "properties.case_id holds a character that no text has"),
        (
            "Case Opened",
            {"case_id": "c", "due_at": "soon"},
            "properties.sla_due_at is not a time: write it as 2025-03-31T14:05:00Z",
        ),
        (
            "Campaign Closed",
            {"campaign_id": "q", "assigned": -1},
            "properties.assigned is negative: it must be 0 or more",
        ),
        ("Campaign Closed", {"campaign_id": "q", "assigned": 1.5}, "properties.assigned is not a whole number"),
        (
            "Campaign Closed",
            {"campaign_id": "q", "completed": 2**31},
            "properties.completed is too large: at most 2147483647",
        ),
        ("Campaign Closed", {"campaign_id": "q", "name": LONG}, "properties.name is longer than 400 characters"),
        ("Feature Used", {}, "properties.feature is missing: Feature Used needs it"),
        ("Ticket Opened", {}, "properties.ticket_id is missing: Ticket Opened needs it"),
        ("Ticket Closed", {"priority": "high"}, "properties.ticket_id is missing: Ticket Closed needs it"),
        ("Attestation Submitted", {}, "properties.campaign_id is missing: Attestation Submitted needs it"),
        (
            "Logged In",
            {"duration_minutes": "long"},
            "properties.duration_minutes is not a number: write it as 1234.5, without separators of thousands",
        ),
        (
            "Logged In",
            {"duration_minutes": True},
            "properties.duration_minutes is not a number: write it as 1234.5, without separators of thousands",
        ),
        ("Logged In", {"duration_minutes": -1}, "properties.duration_minutes is negative: it must be 0 or more"),
        ("Logged In", {"duration_minutes": 1e9}, "properties.duration_minutes is too large: below 1000000000"),
        (
            "Session Ended",
            {},
            "duration_minutes is missing, and so are duration_seconds and started_at: give one of them",
        ),
        ("Session Ended", {"started_at": "2026-03-14T09:00:01Z"}, "started_at is after the session's end"),
        (
            "Session Ended",
            {"session_started_at": 5},
            "properties.started_at is not a time: write it as 2025-03-31T14:05:00Z",
        ),
        ("Session Ended", {"duration_minutes": 999_999_999}, "the session is longer than 10080 minutes"),
        ("Session Ended", {"duration_seconds": 604_801}, "the session is longer than 10080 minutes"),
        ("Session Ended", {"started_at": "1970-01-01"}, "the session is longer than 10080 minutes"),
        ("Logged In", {"duration_minutes": 10_080.5}, "the session is longer than 10080 minutes"),
    ],
)
def test_a_part_that_is_missing_or_wrong(event: str, properties: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableEvent) as raised:
        track(event, **properties)
    assert str(raised.value) == reason


@pytest.mark.parametrize("event", ["Logged In", "Signed Out", "Attestation Submitted"])
def test_a_fact_of_a_member_needs_one(event: str) -> None:
    with pytest.raises(UnusableEvent) as raised:
        track(event, member=None, campaign_id="q1", duration_minutes=1)
    assert str(raised.value) == f"userId is missing: {event} is of a member"
    # The others do not.
    assert track("Case Opened", member=None, id="c").fact == "case_opened"


@pytest.mark.parametrize(
    ("traits", "columns"),
    [
        ({}, {}),
        ({"name": "Ärzte AG", "plan": "gold", "logo": None}, {"name": "Ärzte AG", "name_key": "ärzte ag"}),
        (
            {
                "Size": "midmarket",
                "INDUSTRY": "Technology",
                "status": "churned",
                "engagementModel": "high_touch",
                "owner": "kim@csm.example",
                "customerSince": "2024-02-29",
                "churned_at": "2026-01-01",
                "renewal date": "2027-01-31",
                "annual_value": 1999.995,
                "alertsEnabled": True,
            },
            {
                "size": "MIDMARKET",
                "industry": "TECHNOLOGY",
                "status": "CHURNED",
                "engagement_model": "HIGH_TOUCH",
                "owner": "kim@csm.example",
                "customer_since": date(2024, 2, 29),
                "churned_at": datetime(2026, 1, 1, tzinfo=UTC),
                "renewal_date": date(2027, 1, 31),
                "annual_value": Decimal("2000.00"),
            },
        ),
        ({"createdAt": "2024-02-29T23:30:00-01:00"}, {"customer_since": date(2024, 3, 1)}),
        ({"createdAt": "2024-02-28", "customer_since": "2020-01-01"}, {"customer_since": date(2020, 1, 1)}),
        ({"industry": "Other"}, {"industry": "OTHER"}),
        ({"employees": 0}, {"size_by_employees": "SMB"}),
        ({"employees": "99"}, {"size_by_employees": "SMB"}),
        ({"employees": 100}, {"size_by_employees": "MIDMARKET"}),
        ({"employees": 999.0}, {"size_by_employees": "MIDMARKET"}),
        ({"employees": 1000}, {"size_by_employees": "ENTERPRISE"}),
        ({"employees": 5, "size": "enterprise"}, {"size": "ENTERPRISE", "size_by_employees": "SMB"}),
        ({"id": "acme", "external_id": "other", "address": {"city": "Bern"}}, {}),
    ],
)
def test_the_traits_of_a_client(traits: dict[str, Any], columns: dict[str, Any]) -> None:
    found = group("acme", **traits)
    assert (dict(found.parts), found.unusable, found.details) == (columns, (), {})


@pytest.mark.parametrize(
    ("traits", "columns", "unusable"),
    [
        (
            {"name": "Acme", "Size": "huge", "renewal_date": "soon", "annualValue": -1},
            {"name": "Acme", "name_key": "acme"},
            ("Size", "renewal_date", "annualValue"),
        ),
        ({"size": "huge", "employees": 500}, {"size_by_employees": "MIDMARKET"}, ("size",)),
        ({"employees": "50-100"}, {}, ("employees",)),
        ({"name": LONG, "owner": NUL}, {}, ("name", "owner")),
        ({"status": 7, "industry": "Basket weaving"}, {}, ("industry", "status")),
        # Alerts are switched by people, who are written down.
        ({"alerts_enabled": False}, {}, ()),
        ({"createdAt": "?", "customer_since": "2020-01-01"}, {"customer_since": date(2020, 1, 1)}, ("createdAt",)),
        # A name that cannot be stored as it is written is reported without what cannot be.
        ({"na\0me": LONG}, {}, ("na?me",)),
        ({"o" + "." * 500 + "wner": LONG}, {}, ("o" + "." * 396 + "...",)),
    ],
)
def test_traits_that_say_nothing_are_left_out_and_named(
    traits: dict[str, Any], columns: dict[str, Any], unusable: tuple[str, ...]
) -> None:
    found = group("acme", **traits)
    assert dict(found.parts) == columns
    assert sorted(found.unusable) == sorted(unusable)


@pytest.mark.parametrize(
    ("traits", "parts", "unusable"),
    [
        ({"email": "a@b", "name": LONG}, {}, ()),
        ({"created_at": "2024-02-29T10:00:00Z"}, {"created_at": datetime(2024, 2, 29, 10, 0, tzinfo=UTC)}, ()),
        ({"createdAt": "last year"}, {}, ("createdAt",)),
        ({"createdAt": None}, {}, ()),
    ],
)
def test_the_traits_of_a_member(traits: dict[str, Any], parts: dict[str, Any], unusable: tuple[str, ...]) -> None:
    found = understood(type="identify", userId="ann", traits=traits)
    assert (dict(found.parts), found.unusable) == (parts, unusable)


def test_every_fact_becomes_rows_of_its_kinds() -> None:
    later = AT + timedelta(hours=1)
    facts = told(
        track("Logged In", duration_minutes=3),
        track("Case Opened", case_id="c1", due_at="2026-04-01"),
        track("Case Resolved", later, case_id="c2", opened_at="2026-03-01"),
        track("Campaign Closed", member=None, id="q1", name="Q1", kind="attestation", assigned=3, completed=2),
        track("Attestation Submitted", id="q2"),
        track("Feature Used", feature="Reports"),
        track("Ticket Opened", id="t1", priority="low"),
        track("Ticket Closed", later, id="t2"),
    )
    assert {row.kind for row in FACTS.values()} == set(facts.rows) - {"seen_members", "features"}
    assert rows(facts, "logins") == [(["acme", "ann", AT, Decimal(3)], [0])]
    assert rows(facts, "cases") == [
        (["acme", "c1", AT, None, datetime(2026, 4, 1, tzinfo=UTC)], [1]),
        (["acme", "c2", datetime(2026, 3, 1, tzinfo=UTC), later, None], [2]),
    ]
    assert rows(facts, "campaigns") == [
        (["acme", "q1", "Q1", "ATTESTATION", 3, 2, AT], [3]),
        (["acme", "q2", None, None, None, None, None], [4]),
    ]
    assert rows(facts, "campaign_responses") == [(["acme", "q2", "ann", AT], [4])]
    assert rows(facts, "features") == [(["Reports", None, None], [5])]
    assert rows(facts, "feature_uses") == [(["acme", "Reports", AT, AT], [5])]
    assert rows(facts, "tickets") == [(["acme", "t1", AT, None, "low"], [6]), (["acme", "t2", None, later, None], [7])]
    assert rows(facts, "seen_members") == [(["acme", "ann", AT], [0, 1, 2, 4, 5, 6, 7])]
    assert (facts.sessions, facts.activity) == ([], set())


def test_a_session_that_ended() -> None:
    facts = told(track("Session Ended", duration_seconds=90))
    assert facts.sessions == [Session(0, "acme", "ann", AT - timedelta(seconds=90), AT, Decimal("1.5"))]
    assert "logins" not in facts.rows


def test_what_maps_to_nothing_is_activity_and_a_use_of_the_feature_named_like_it() -> None:
    facts = told(
        track("Report exported"),
        understood(type="page", anonymousId="x", groupId="acme", name="Reports", timestamp=AT.isoformat()),
        understood(type="screen", anonymousId="x", groupId="acme", timestamp=AT.isoformat()),
        track("★", member=None),
        features={"reports": "reporting"},
    )
    assert facts.activity == {0, 1, 2, 3}
    assert rows(facts, "feature_uses") == [(["acme", "reporting", AT, AT], [1])]
    assert rows(facts, "seen_members") == [(["acme", "ann", AT], [0])]
    assert set(facts.rows) == {"feature_uses", "seen_members"}


def test_a_feature_is_known_by_its_key_and_its_name() -> None:
    features = {"reports": "reporting", "reporting": "reporting"}
    facts = told(track("Feature Used", feature="REPORTS!"), track("Feature Used", feature="other"), features=features)
    assert rows(facts, "features") == [(["other", None, None], [1])]
    assert [row for row, _ in rows(facts, "feature_uses")] == [["acme", "reporting", AT, AT], ["acme", "other", AT, AT]]


def test_rows_of_one_key_are_merged() -> None:
    earlier, later = AT - timedelta(hours=1), AT + timedelta(hours=1)
    facts = told(
        track("Case Opened", case_id="c1", due_at="2026-04-01"),
        track("Case Resolved", later, case_id="c1"),
        track("Feature Used", later, feature="f"),
        track("Feature Used", earlier, feature="f"),
        track("Feature Used", AT, feature="f"),
        track("Ticket Opened", id="t", priority="low"),
        track("Ticket Opened", later, id="t", priority="high"),
        track("Ticket Closed", later, id="t"),
    )
    assert rows(facts, "cases") == [(["acme", "c1", AT, later, datetime(2026, 4, 1, tzinfo=UTC)], [0, 1])]
    assert rows(facts, "feature_uses") == [(["acme", "f", earlier, later], [2, 3, 4])]
    # The first that names it adds it.
    assert rows(facts, "features") == [(["f", None, None], [2])]
    # What the later message gives wins, and what it leaves out stays.
    assert rows(facts, "tickets") == [(["acme", "t", later, later, "high"], [5, 6, 7])]
    assert rows(facts, "seen_members") == [(["acme", "ann", earlier], list(range(8)))]


def test_a_group_without_a_name_is_called_by_its_id_only_while_nothing_else_is_known() -> None:
    named, nameless = group("beta", name="Beta AG"), group("beta", owner="kim")

    def name(*messages: Message, known: dict[str, int]) -> list[tuple[Any, Any]]:
        return [(row[1], row[2]) for row, _ in rows(told(*messages, known=known), "clients")]

    assert name(nameless, known={}) == [("beta", "beta")]
    assert name(nameless, known={"beta": 1}) == [(None, None)]
    assert name(named, known={}) == name(named, nameless, known={}) == [("Beta AG", "beta ag")]
    assert name(nameless, named, known={}) == [("Beta AG", "beta ag")]


def test_members_that_groups_and_identifies_tell_of() -> None:
    facts = told(
        understood(type="group", groupId="beta", userId="bob", timestamp=AT.isoformat()),
        understood(type="identify", userId="cem", groupId="beta", timestamp=AT.isoformat()),
        understood(type="identify", userId="bob", groupId="beta", traits={"createdAt": "2024-01-01"}),
        understood(type="alias", userId="dan", previousId="d", groupId="beta"),
        known={},
    )
    assert rows(facts, "seen_members") == [(["beta", "bob", AT], [0, 2]), (["beta", "cem", AT], [1])]
    assert rows(facts, "members") == [(["beta", "bob", datetime(2024, 1, 1, tzinfo=UTC), None], [2])]
