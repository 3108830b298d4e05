"""The facts that a client leaves behind, and the metrics recorded from them once a day."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from app.database import enum_column


class CampaignKind(StrEnum):
    """What a campaign asks of its members."""

    ATTESTATION = "ATTESTATION"
    OTHER = "OTHER"


class FeatureCategory(StrEnum):
    """Which part of the platform a feature belongs to."""

    CORE = "CORE"
    ADVANCED = "ADVANCED"
    INTEGRATION = "INTEGRATION"
    REPORTING = "REPORTING"


class Login(SQLModel, table=True):
    """One login of one member. The key covers the scan of a client's window, so no second index is kept."""

    __tablename__ = "logins"
    __table_args__ = (PrimaryKeyConstraint("client_id", "at", "member_id", name="pk_logins"),)

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    at: datetime
    member_id: int = Field(foreign_key="members.id", sa_type=BigInteger)
    # How long the session was, in minutes; null where it is not known.
    duration_minutes: Decimal | None = Field(default=None, sa_type=Numeric)


class Case(SQLModel, table=True):
    """A compliance case of a client."""

    __tablename__ = "cases"
    __table_args__ = (
        PrimaryKeyConstraint("client_id", "external_id", name="pk_cases"),
        Index("ix_cases_client_id_closed_at", "client_id", "closed_at", postgresql_include=["opened_at", "sla_due_at"]),
        Index("ix_cases_client_id_opened_at", "client_id", "opened_at"),
        CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
    )

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    external_id: str = Field(sa_type=Text)
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    sla_due_at: datetime | None = None


class Campaign(SQLModel, table=True):
    """A campaign that asks members to do something, an attestation for example."""

    __tablename__ = "campaigns"
    __table_args__ = (
        Index("uq_campaigns_client_id_external_id", "client_id", "external_id", unique=True),
        Index(
            "ix_campaigns_client_id_closed_at",
            "client_id",
            "closed_at",
            postgresql_include=["kind", "assigned", "completed"],
        ),
        CheckConstraint("assigned >= 0", name="assigned_not_negative"),
        CheckConstraint("completed BETWEEN 0 AND assigned", name="completed_within_assigned"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    external_id: str = Field(sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    kind: CampaignKind = Field(default=CampaignKind.OTHER, sa_type=enum_column(CampaignKind, "kind"))
    assigned: int = 0
    completed: int = 0
    closed_at: datetime | None = None


class CampaignResponse(SQLModel, table=True):
    """One member's response to one campaign."""

    __tablename__ = "campaign_responses"
    __table_args__ = (
        PrimaryKeyConstraint("client_id", "at", "campaign_id", "member_id", name="pk_campaign_responses"),
    )

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    at: datetime
    campaign_id: int = Field(foreign_key="campaigns.id", sa_type=BigInteger)
    member_id: int = Field(foreign_key="members.id", sa_type=BigInteger)


class Feature(SQLModel, table=True):
    """One feature of the platform, the same for every client."""

    __tablename__ = "features"
    __table_args__ = (Index("uq_features_key", "key", unique=True),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    key: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    category: FeatureCategory = Field(default=FeatureCategory.CORE, sa_type=enum_column(FeatureCategory, "category"))


class ClientFeature(SQLModel, table=True):
    """Whether a client may use a feature, and when it did."""

    __tablename__ = "client_features"
    __table_args__ = (
        PrimaryKeyConstraint(
            "client_id",
            "feature_id",
            name="pk_client_features",
            postgresql_include=["enabled", "first_used_at", "last_used_at"],
        ),
        CheckConstraint("last_used_at >= first_used_at", name="last_after_first"),
    )

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    feature_id: int = Field(foreign_key="features.id", sa_type=BigInteger)
    enabled: bool = True
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None


class Ticket(SQLModel, table=True):
    """A support ticket of a client."""

    __tablename__ = "tickets"
    __table_args__ = (
        PrimaryKeyConstraint("client_id", "external_id", name="pk_tickets"),
        Index("ix_tickets_client_id_opened_at", "client_id", "opened_at", postgresql_include=["closed_at"]),
        CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
    )

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    external_id: str = Field(sa_type=Text)
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    # The source system's own word for it; nothing is computed from it.
    priority: str | None = Field(default=None, sa_type=Text)


class DailyMetrics(SQLModel, table=True):
    """What one client did on one UTC day. Rates are exact percentages, null where there is nothing to divide by."""

    __tablename__ = "daily_metrics"
    __table_args__ = (
        PrimaryKeyConstraint("client_id", "day", name="pk_daily_metrics"),
        Index(
            "ix_daily_metrics_revised",
            "client_id",
            "revised_at",
            "day",
            postgresql_where=text("revised_at IS NOT NULL"),
        ),
    )

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    day: date
    active_users: int
    logins: int
    session_minutes: Decimal = Field(sa_type=Numeric)
    cases_created: int
    cases_resolved: int
    cases_resolved_on_time: int
    campaign_responses: int
    campaign_completion_rate: float | None = None
    feature_adoption_rate: float | None = None
    support_tickets: int
    # When facts that came late last changed a figure of the day; null where all stand as they were first recorded.
    revised_at: datetime | None = None


class LateDay(SQLModel, table=True):
    """A recorded day of a client of which facts have come since; its metrics are due to be recorded again."""

    __tablename__ = "late_days"
    # By day first, since the clients of a day are recorded together.
    __table_args__ = (PrimaryKeyConstraint("day", "client_id", name="pk_late_days"),)

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    day: date
    noted_at: datetime
    # Whether a first use of a feature came late. If none did, the adoption rate of the day stays as it was recorded:
    # which features were enabled then is not known any more.
    adoption: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
