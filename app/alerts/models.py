"""Alerts: what was raised for a client, and what became of it."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Identity, Index, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.alerts.rules import AlertKind, AlertStatus
from app.database import enum_column


class Alert(SQLModel, table=True):
    """One alert, raised in the transaction that stored the score."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_raised_at", "raised_at", "id"),
        Index("ix_alerts_client_id_raised_at", "client_id", "raised_at", "id"),
        Index("ix_alerts_unresolved", "client_id", postgresql_where=text("status <> 'RESOLVED'")),
        Index("ix_alerts_created_at", "created_at"),
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
    raised_at: datetime
    # When the row was written, by the database's clock: what live subscribers have not seen yet.
    created_at: datetime = Field(sa_column_kwargs={"server_default": text("clock_timestamp()")})
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = Field(default=None, sa_type=Text)
    note: str | None = Field(default=None, sa_type=Text)
    resolved_at: datetime | None = None
