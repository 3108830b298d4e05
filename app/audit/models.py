"""The audit trail: who changed what, and when."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column


class AuditAction(StrEnum):
    """What was done."""

    ALERTS_CHANGED = "ALERTS_CHANGED"
    ALERTS_SNOOZED = "ALERTS_SNOOZED"
    ALERT_ACKNOWLEDGED = "ALERT_ACKNOWLEDGED"
    HELD_ALERTS_RELEASED = "HELD_ALERTS_RELEASED"
    HELD_ALERTS_DISCARDED = "HELD_ALERTS_DISCARDED"
    CHANNEL_ENABLED = "CHANNEL_ENABLED"
    RUN_REQUESTED = "RUN_REQUESTED"
    MEMBER_ERASED = "MEMBER_ERASED"
    CLIENT_ERASED = "CLIENT_ERASED"


class AuditEvent(SQLModel, table=True):
    """One change that a person or a command asked for."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_client_id_at", "client_id", "at"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: datetime
    # The subject of the token, or the name of the command.
    actor: str = Field(sa_type=Text)
    action: AuditAction = Field(sa_type=enum_column(AuditAction, "action"))
    client_id: int | None = Field(default=None, foreign_key="clients.id", sa_type=BigInteger)
    run_id: int | None = Field(default=None, foreign_key="runs.id", sa_type=BigInteger)
    request_id: str | None = Field(default=None, sa_type=Text)
    # What changed, as {"field": [before, after]}.
    changes: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
