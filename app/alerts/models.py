"""Alerts: what was raised for a client, and what became of it."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Column, Identity, Index, Numeric, PrimaryKeyConstraint, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.alerts.rules import AlertKind, AlertStatus, AlertVerdict
from app.database import enum_column
from app.health.rules import Component, RiskLevel, TrafficLight


class Alert(SQLModel, table=True):
    """One alert, raised in the transaction that stored the score."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_raised_at", "raised_at", "id"),
        Index("ix_alerts_client_id_raised_at", "client_id", "raised_at", "id"),
        Index("ix_alerts_unresolved", "client_id", postgresql_where=text("status <> 'RESOLVED'")),
        Index("ix_alerts_created_at", "created_at"),
        Index("ix_alerts_held", "run_id", "id", postgresql_where=text("held")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    # The scoring day of the score that raised it.
    day: date
    # Every reason, the gravest first; the first one is the alert's kind.
    kinds: list[str] = Field(sa_type=ARRAY(Text))
    kind: AlertKind = Field(sa_type=enum_column(AlertKind, "kind"))
    status: AlertStatus = Field(default=AlertStatus.OPEN, sa_type=enum_column(AlertStatus, "status"))
    message: str = Field(sa_type=Text)
    score_before: int = Field(sa_type=SmallInteger)
    score_after: int = Field(sa_type=SmallInteger)
    # Null in alerts that were raised before these were kept.
    light_before: TrafficLight | None = Field(default=None, sa_type=enum_column(TrafficLight, "light_before"))
    light_after: TrafficLight | None = Field(default=None, sa_type=enum_column(TrafficLight, "light_after"))
    risk_before: RiskLevel | None = Field(default=None, sa_type=enum_column(RiskLevel, "risk_before"))
    risk_after: RiskLevel | None = Field(default=None, sa_type=enum_column(RiskLevel, "risk_after"))
    raised_at: datetime
    # The recalculation of everybody that raised it; null for what any other calculation has raised.
    run_id: int | None = Field(default=None, foreign_key="runs.id", sa_type=BigInteger)
    # Nobody is told of it yet: its run is not over, or has raised so many that an administrator has to decide.
    held: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    # When an administrator found that it tells of a broken feed and of nothing else.
    discarded_at: datetime | None = None
    # When the row was written, or released if it was held, by the database's clock: what live subscribers have not
    # seen yet.
    created_at: datetime = Field(sa_column_kwargs={"server_default": text("clock_timestamp()")})
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = Field(default=None, sa_type=Text)
    note: str | None = Field(default=None, sa_type=Text)
    resolved_at: datetime | None = None


class AlertCause(SQLModel, table=True):
    """A component that moved when the alert was raised, with the points of the overall score that were and are its."""

    __tablename__ = "alert_causes"
    __table_args__ = (PrimaryKeyConstraint("alert_id", "component", name="pk_alert_causes"),)

    alert_id: int = Field(foreign_key="alerts.id", ondelete="CASCADE", sa_type=BigInteger)
    component: Component = Field(sa_type=enum_column(Component, "component"))
    points_before: Decimal = Field(sa_type=Numeric(4, 1))
    points_after: Decimal = Field(sa_type=Numeric(4, 1))
    # What was counted for the component, and what had been counted before.
    explanation: str = Field(sa_type=Text)


class AlertFeedback(SQLModel, table=True):
    """What one person says of one alert; the latest word counts."""

    __tablename__ = "alert_feedback"
    __table_args__ = (PrimaryKeyConstraint("alert_id", "subject", name="pk_alert_feedback"),)

    alert_id: int = Field(foreign_key="alerts.id", ondelete="CASCADE", sa_type=BigInteger)
    # Who says so: the subject of the token.
    subject: str = Field(sa_type=Text)
    verdict: AlertVerdict = Field(sa_type=enum_column(AlertVerdict, "verdict"))
    given_at: datetime


class AlertReplayDay(SQLModel, table=True):
    """How many clients had a score on a day, and how many alerts a replay counted."""

    __tablename__ = "alert_replay_days"
    __table_args__ = (PrimaryKeyConstraint("run_id", "day", name="pk_alert_replay_days"),)

    run_id: int = Field(foreign_key="runs.id", sa_type=BigInteger)
    day: date
    scored: int
    alerts: int


class AlertReplayClient(SQLModel, table=True):
    """How many alerts a replay counted for a client; a client without one has no row."""

    __tablename__ = "alert_replay_clients"
    __table_args__ = (PrimaryKeyConstraint("run_id", "client_id", name="pk_alert_replay_clients"),)

    run_id: int = Field(foreign_key="runs.id", sa_type=BigInteger)
    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    alerts: int
