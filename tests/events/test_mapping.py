"""Which events become which facts: the vocabulary, the operator's own names, and what is said of a wrong file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import InvalidInput
from app.events.mapping import FACTS, Rule, folded, read_mapping, vocabulary

VOCABULARY = {
    "logged_in": ["Logged In", "Signed In", "User Logged In", "User Signed In", "Login", "Session Started"],
    "session_ended": ["Session Ended", "Signed Out", "Logged Out", "User Logged Out"],
    "case_opened": ["Case Opened", "Case Created"],
    "case_resolved": ["Case Resolved", "Case Closed"],
    "campaign_closed": ["Campaign Closed", "Campaign Completed"],
    "campaign_responded": [
        "Campaign Responded",
        "Campaign Response Submitted",
        "Attestation Submitted",
        "Attestation Completed",
    ],
    "feature_used": ["Feature Used"],
    "ticket_opened": ["Ticket Opened", "Ticket Created", "Support Ticket Opened"],
    "ticket_closed": ["Ticket Closed", "Ticket Resolved", "Ticket Solved", "Support Ticket Closed"],
}


@pytest.fixture
def mapping_file(tmp_path: Path) -> Callable[[str], Path]:
    """A function that writes a mapping and returns where."""

    def write(content: str) -> Path:
        path = tmp_path / "events.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def refusal(path: Path) -> str:
    """Return what is said of a file that is wrong."""
    with pytest.raises(InvalidInput) as raised:
        read_mapping(path)
    assert raised.value.field == "EVENT_MAPPING"
    return raised.value.message


@pytest.mark.parametrize(("fact", "name"), [(fact, name) for fact, names in VOCABULARY.items() for name in names])
def test_every_name_of_the_vocabulary_has_its_fact(fact: str, name: str) -> None:
    rule = vocabulary()[folded(name)]
    assert (rule.name, rule.fact) == (fact, FACTS[fact])


def test_the_vocabulary_has_no_other_names_and_every_fact_a_name() -> None:
    assert len(vocabulary()) == sum(len(names) for names in VOCABULARY.values())
    assert {rule.name for rule in vocabulary().values()} == set(FACTS) == set(VOCABULARY)
    assert read_mapping(None) == vocabulary()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Case Opened", "caseopened"),
        ("case_opened", "caseopened"),
        ("caseOpened", "caseopened"),
        ("CASE-OPENED!", "caseopened"),
        ("  case.opened ", "caseopened"),
        ("Straße 7", "strasse7"),
        ("事件", "事件"),
        ("★", ""),
        ("", ""),
    ],
)
def test_folding(name: str, form: str) -> None:
    assert folded(name) == form


@pytest.mark.parametrize(
    ("fact", "part", "properties", "found"),
    [
        ("case_opened", "case", {"caseid": "a", "id": "b"}, "a"),
        ("case_opened", "case", {"id": "b"}, "b"),
        ("case_opened", "case", {"case": "c"}, None),
        # A property that is there and says nothing gives way to the next.
        ("case_opened", "case", {"caseid": None, "id": "b"}, "b"),
        ("case_opened", "case", {"caseid": 0, "id": "b"}, 0),
        ("case_opened", "sla_due_at", {"deadline": "3", "dueat": "2"}, "2"),
        ("case_resolved", "opened_at", {"openedat": "1"}, "1"),
        ("session_ended", "started_at", {"sessionstartedat": "1"}, "1"),
        ("session_ended", "duration_seconds", {"durationseconds": 5}, 5),
        ("campaign_closed", "campaign", {"campaignid": "a"}, "a"),
        ("campaign_responded", "campaign", {"id": "a"}, "a"),
        ("feature_used", "feature", {"name": "d", "featurename": "c", "featurekey": "b", "feature": "a"}, "a"),
        ("feature_used", "feature", {"name": "d", "featurename": "c"}, "c"),
        ("feature_used", "feature", {"name": "d"}, "d"),
        ("ticket_closed", "ticket", {"ticketid": 4}, 4),
        ("ticket_opened", "priority", {"priority": "high"}, "high"),
    ],
)
def test_where_the_parts_are_looked_for(
    fact: str, part: str, properties: dict[str, object], found: object | None
) -> None:
    rule = next(rule for rule in vocabulary().values() if rule.name == fact)
    assert rule.find(part, properties) == found


def test_a_file_adds_names_and_gives_others_another_meaning(mapping_file: Callable[[str], Path]) -> None:
    mapping = read_mapping(
        mapping_file(
            """
            [[event]]
            fact = "case_opened"
            names = ["Matter Filed", "issue:raised"]
            properties = { case = "matter", sla_due_at = ["respond_by", "due"] }

            [[event]]
            fact = "feature_used"
            names = "Login"
            """
        )
    )
    filed = Rule("case_opened", FACTS["case_opened"], {"case": ("matter",), "sla_due_at": ("respond_by", "due")})
    login = Rule("feature_used", FACTS["feature_used"], {"feature": ("feature",)})
    assert mapping == {**vocabulary(), "matterfiled": filed, "issueraised": filed, "login": login}
    # The vocabulary itself is as it was, and what shares a table with a name that was taken keeps its meaning.
    assert vocabulary()["login"].name == mapping["loggedin"].name == "logged_in"


def test_an_empty_file_changes_nothing(mapping_file: Callable[[str], Path]) -> None:
    assert read_mapping(mapping_file("# nothing yet\n")) == vocabulary()


FACT_NAMES = ", ".join(FACTS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("fact = 'logged_in'", "it must consist of tables named [[event]]"),
        ("[event]\nfact = 'logged_in'\nnames = ['a']", "it must consist of tables named [[event]]"),
        (
            "other = 1\n[[event]]\nfact = 'logged_in'\nnames = ['a']",
            "it must consist of tables named [[event]]",
        ),
        ("event = [1]", "event 1: it has fact, names and properties, and nothing else"),
        (
            "[[event]]\nfact = 'logged_in'\nname = 'a'",
            "event 1: it has fact, names and properties, and nothing else",
        ),
        ("[[event]]\nnames = ['a']", f"event 1: fact must be one of {FACT_NAMES}"),
        ("[[event]]\nfact = 'login'\nnames = ['a']", f"event 1: fact must be one of {FACT_NAMES}"),
        ("[[event]]\nfact = ['logged_in']\nnames = ['a']", f"event 1: fact must be one of {FACT_NAMES}"),
        ("[[event]]\nfact = 'logged_in'", "event 1: names must be a name or a list of names"),
        ("[[event]]\nfact = 'logged_in'\nnames = []", "event 1: names must be a name or a list of names"),
        ("[[event]]\nfact = 'logged_in'\nnames = ''", "event 1: names must be a name or a list of names"),
        ("[[event]]\nfact = 'logged_in'\nnames = ['a', 1]", "event 1: names must be a name or a list of names"),
        ("[[event]]\nfact = 'logged_in'\nnames = ['a', '']", "event 1: names must be a name or a list of names"),
        ("[[event]]\nfact = 'logged_in'\nnames = {a = 1}", "event 1: names must be a name or a list of names"),
        (
            "[[event]]\nfact = 'logged_in'\nnames = ['a', '!?']",
            "event 1: each of the names needs a letter or a digit",
        ),
        (
            "[[event]]\nfact = 'case_opened'\nnames = ['a']\nproperties = {ticket = 'a'}",
            "event 1: the properties of case_opened are case, sla_due_at",
        ),
        (
            "[[event]]\nfact = 'case_opened'\nnames = ['a']\nproperties = ['case']",
            "event 1: the properties of case_opened are case, sla_due_at",
        ),
        (
            "[[event]]\nfact = 'case_opened'\nnames = ['a']\nproperties = {case = []}",
            "event 1: case must be a name or a list of names",
        ),
        (
            "[[event]]\nfact = 'case_opened'\nnames = ['a']\n[[event]]\nfact = 'case_resolved'\nnames = ['b', 'A!']",
            "event 2: another event is named like 'a'",
        ),
        (
            "[[event]]\nfact = 'case_opened'\nnames = ['Case Filed', 'case_filed']",
            "event 1: another event is named like 'casefiled'",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(mapping_file: Callable[[str], Path], content: str, reason: str) -> None:
    path = mapping_file(content)
    assert refusal(path) == f"EVENT_MAPPING: {path}: {reason}."


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "missing.toml"
    assert refusal(path) == f"EVENT_MAPPING: {path} cannot be read: No such file or directory."
    assert refusal(tmp_path) == f"EVENT_MAPPING: {tmp_path} cannot be read: Is a directory."
    path.write_text("[[event]\n")
    assert refusal(path).startswith(f"EVENT_MAPPING: {path} is not TOML: ")
    path.write_bytes(b"names = '\xff'")
    assert refusal(path).startswith(f"EVENT_MAPPING: {path} is not TOML: ")
