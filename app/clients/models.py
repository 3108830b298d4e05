"""Clients, their members, and the one current row per client that the portfolio reads."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Numeric, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column
from app.health.rules import HealthTrend, RiskLevel, TrafficLight


class ClientSize(StrEnum):
    """How large a client is."""

    ENTERPRISE = "ENTERPRISE"
    MIDMARKET = "MIDMARKET"
    SMB = "SMB"


class Industry(StrEnum):
    """What a client does."""

    FINANCIAL = "FINANCIAL"
    HEALTHCARE = "HEALTHCARE"
    TECHNOLOGY = "TECHNOLOGY"
    MANUFACTURING = "MANUFACTURING"
    OTHER = "OTHER"


class ClientStatus(StrEnum):
    """Where a client stands commercially."""

    ACTIVE = "ACTIVE"
    TRIAL = "TRIAL"
    CHURNED = "CHURNED"


class EngagementModel(StrEnum):
    """Whether a customer success manager looks after a client personally."""

    HIGH_TOUCH = "HIGH_TOUCH"
    PLG = "PLG"


LISTED = "status <> 'CHURNED'"

# What the portfolio is sorted by, as an ascending, never-null key in which missing values come last: one row comparison
# (key, name_key, id) > (...) pages through it. The indexes below hold the same expressions, which are spelled as
# PostgreSQL prints them so that a comparison of the two finds them equal. Each has an index in one direction, since
# every index is written anew with every score; clients.queries walks it the other way as well.
SORT_KEYS = {
    "score_desc": "COALESCE((- score)::integer, 32767)",
    "trend_asc": "COALESCE(trend_delta::integer, 32767)",
    "activity_asc": "COALESCE(last_activity_at - to_timestamp(0::double precision), '3000000 days'::interval)",
    "renewal_asc": "COALESCE(renewal_date - '2000-01-01'::date, 2147483647)",
}
# The key of a client without the value.
MISSING_KEYS = {
    "score_desc": "32767",
    "trend_asc": "32767",
    "activity_asc": "'3000000 days'::interval",
    "renewal_asc": "2147483647",
}
# A key below every client's.
LOWEST_KEYS = {
    "score_desc": "-32767",
    "trend_asc": "-32767",
    "activity_asc": "'-3000000 days'::interval",
    "renewal_asc": "-2147483647",
}
LIGHT_KEY = "COALESCE(light, ''::character varying)"


def _portfolio_index(name: str) -> Index:
    return Index(
        f"ix_clients_portfolio_{name}",
        text(f"({LIGHT_KEY})"),
        text(f"({SORT_KEYS[name]})"),
        "name_key",
        "id",
        postgresql_where=text(LISTED),
    )


class Client(SQLModel, table=True):
    """An organisation that buys the platform, with its latest health beside it.

    The columns from `last_activity_at` on are written together with a score and never by hand. They stand on
    this row, and not on one of their own, because every portfolio query filters and sorts by both halves.
    """

    __tablename__ = "clients"
    __table_args__ = (
        Index("uq_clients_external_id", "external_id", unique=True),
        *(_portfolio_index(name) for name in SORT_KEYS),
        Index("ix_clients_portfolio_name", text(f"({LIGHT_KEY})"), "name_key", "id", postgresql_where=text(LISTED)),
        Index("ix_clients_owner", "owner", postgresql_where=text(LISTED)),
        Index(
            "ix_clients_peers",
            "industry",
            "size",
            postgresql_include=[
                "attestation_completion",
                "case_resolution_days",
                "weekly_login_rate",
                "feature_adoption",
                "scored_day",
                "id",
            ],
            postgresql_where=text("status = 'ACTIVE' AND score IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    # The id that the source system knows the client by.
    external_id: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    # The name as it is searched and sorted by: see clients.rules.name_key.
    name_key: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    size: ClientSize | None = Field(default=None, sa_type=enum_column(ClientSize, "size"))
    industry: Industry = Field(default=Industry.OTHER, sa_type=enum_column(Industry, "industry"))
    status: ClientStatus = Field(default=ClientStatus.ACTIVE, sa_type=enum_column(ClientStatus, "status"))
    engagement_model: EngagementModel = Field(
        default=EngagementModel.PLG,
        sa_type=enum_column(EngagementModel, "engagement_model"),
    )
    # The e-mail address of the customer success manager.
    owner: str | None = Field(default=None, sa_type=Text)
    customer_since: date | None = None
    churned_at: datetime | None = None
    renewal_date: date | None = None
    # The annual contract value, in the currency of the source system.
    annual_value: Decimal | None = Field(default=None, sa_type=Numeric(14, 2))
    alerts_enabled: bool = False
    alerts_snoozed_until: datetime | None = None
    # The moment of the latest group call that the client's columns were taken from: an older one that comes late
    # changes nothing.
    traits_at: datetime | None = None

    # The latest fact at or before the `as_of` of the latest calculation.
    last_activity_at: datetime | None = None
    # The scoring day of the latest calculation; null before the first.
    scored_day: date | None = None
    calculated_at: datetime | None = None
    policy_version: int | None = Field(default=None, sa_type=SmallInteger)
    score: int | None = Field(default=None, sa_type=SmallInteger)
    coverage: int | None = Field(default=None, sa_type=SmallInteger)
    light: TrafficLight | None = Field(default=None, sa_type=enum_column(TrafficLight, "light"))
    trend: HealthTrend | None = Field(default=None, sa_type=enum_column(HealthTrend, "trend"))
    trend_delta: int | None = Field(default=None, sa_type=SmallInteger)
    risk: RiskLevel | None = Field(default=None, sa_type=enum_column(RiskLevel, "risk"))
    login_score: int | None = Field(default=None, sa_type=SmallInteger)
    case_score: int | None = Field(default=None, sa_type=SmallInteger)
    campaign_score: int | None = Field(default=None, sa_type=SmallInteger)
    feature_score: int | None = Field(default=None, sa_type=SmallInteger)
    ticket_score: int | None = Field(default=None, sa_type=SmallInteger)
    # False while no ticket was ever recorded: the ticket score is then 100 and not measured.
    tickets_tracked: bool | None = None
    # The components whose feed was silent: see HealthScore.
    stale: dict[str, dict[str, Any]] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    # The benchmark metrics: percent, days, percent, percent; see benchmarks.rules.
    attestation_completion: float | None = None
    case_resolution_days: float | None = None
    weekly_login_rate: float | None = None
    feature_adoption: float | None = None


class Member(SQLModel, table=True):
    """A user account inside a client; nothing personal is kept beyond its external id."""

    __tablename__ = "members"
    __table_args__ = (
        Index(
            "uq_members_client_id_external_id",
            "client_id",
            "external_id",
            unique=True,
            postgresql_include=["id", "created_at", "deactivated_at"],
        ),
        # An event may name its member only.
        Index("ix_members_external_id", "external_id", postgresql_include=["client_id"]),
        {"postgresql_with": {"fillfactor": "90"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    external_id: str = Field(sa_type=Text)
    created_at: datetime | None = None
    # True when no file said when the member was created: `created_at` is then the earliest known login.
    created_at_inferred: bool = False
    deactivated_at: datetime | None = None


class PortfolioCount(SQLModel, table=True):
    """How many listed clients share one combination of filter values.

    A trigger on `clients` keeps these counts, so that the tiles of the portfolio cost the same at any size.
    The empty string stands for a missing value, because the columns are the key.
    """

    __tablename__ = "portfolio_counts"

    size: str = Field(sa_type=Text, primary_key=True)
    industry: str = Field(sa_type=Text, primary_key=True)
    engagement_model: str = Field(sa_type=Text, primary_key=True)
    alerts_enabled: bool = Field(primary_key=True)
    light: str = Field(sa_type=Text, primary_key=True)
    trend: str = Field(sa_type=Text, primary_key=True)
    risk: str = Field(sa_type=Text, primary_key=True)
    clients: int = Field(sa_type=Integer)
