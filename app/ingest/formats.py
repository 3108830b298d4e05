"""The kinds of files, in the order in which they are read, and what each of their columns holds."""

from collections.abc import Callable
from dataclasses import dataclass

from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.clients.rules import name_key
from app.ingest import rules
from app.usage.models import CampaignKind, FeatureCategory


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the staging table, and the cell of the file that it is read from."""

    name: str
    sql_type: str
    parse: Callable[[str], object]
    # The column of the file, where it differs: the folded name of a client is read from its name.
    source: str | None = None


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file named `name` holds: a row is known by `key`; of the `values` it may leave out any."""

    name: str
    key: tuple[Column, ...]
    values: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every staged column, the key first."""
        return self.key + self.values

    @property
    def sources(self) -> tuple[str, ...]:
        """The column of the file that each of `columns` is read from."""
        return tuple(column.source or column.name for column in self.columns)


def _text(name: str) -> Column:
    return Column(name, "text", rules.text)


def _time(name: str) -> Column:
    return Column(name, "timestamptz", rules.timestamp)


def _choice(name: str, parse: Callable[[str], str]) -> Column:
    return Column(name, "text", parse)


FILE_KINDS = (
    FileKind(
        "clients",
        key=(_text("external_id"),),
        values=(
            _text("name"),
            Column("name_key", "text", lambda value: name_key(rules.text(value)), source="name"),
            _choice("size", rules.choice(ClientSize)),
            _choice("industry", rules.choice(Industry, otherwise=Industry.OTHER)),
            _choice("status", rules.choice(ClientStatus)),
            _choice("engagement_model", rules.choice(EngagementModel)),
            _text("owner"),
            Column("customer_since", "date", rules.day),
            _time("churned_at"),
            Column("renewal_date", "date", rules.day),
            Column("annual_value", "numeric", rules.amount),
            Column("alerts_enabled", "boolean", rules.boolean),
        ),
    ),
    FileKind(
        "members",
        key=(_text("client"), _text("external_id")),
        values=(_time("created_at"), _time("deactivated_at")),
    ),
    FileKind(
        "logins",
        key=(_text("client"), _text("member"), _time("at")),
        values=(Column("duration_minutes", "numeric", rules.minutes),),
    ),
    FileKind(
        "cases",
        key=(_text("client"), _text("external_id")),
        values=(_time("opened_at"), _time("closed_at"), _time("sla_due_at")),
    ),
    FileKind(
        "campaigns",
        key=(_text("client"), _text("external_id")),
        values=(
            _text("name"),
            _choice("kind", rules.choice(CampaignKind)),
            Column("assigned", "integer", rules.count),
            Column("completed", "integer", rules.count),
            _time("closed_at"),
        ),
    ),
    FileKind("campaign_responses", key=(_text("client"), _text("campaign"), _text("member"), _time("at"))),
    FileKind(
        "features",
        key=(_text("key"),),
        values=(_text("name"), _choice("category", rules.choice(FeatureCategory))),
    ),
    FileKind(
        "client_features",
        key=(_text("client"), _text("feature")),
        values=(
            Column("enabled", "boolean", rules.boolean),
            _time("first_used_at"),
            _time("last_used_at"),
        ),
    ),
    FileKind(
        "tickets",
        key=(_text("client"), _text("external_id")),
        values=(_time("opened_at"), _time("closed_at"), _text("priority")),
    ),
)

# What only events tell of: that a member was seen, and that a feature was used.
EVENT_KINDS = (
    FileKind("seen_members", key=(_text("client"), _text("external_id")), values=(_time("at"),)),
    FileKind("feature_uses", key=(_text("client"), _text("feature")), values=(_time("first_at"), _time("last_at"))),
)

KINDS = {kind.name: kind for kind in FILE_KINDS + EVENT_KINDS}
