"""Delivery: the channels that alerts go out on, what goes out on them, and every attempt to send it."""

from datetime import datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column


class ChannelKind(StrEnum):
    """How a channel is spoken to."""

    WEBHOOK = "WEBHOOK"
    APPRISE = "APPRISE"


class ChannelMode(StrEnum):
    """Whether a channel takes every alert by itself or one message a day."""

    EACH = "EACH"
    DIGEST = "DIGEST"


class DeliveryKind(StrEnum):
    """What a delivery tells of."""

    ALERT = "ALERT"
    DIGEST = "DIGEST"
    HELD = "HELD"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "PENDING"
    WAITING = "WAITING"
    HELD = "HELD"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    DISCARDED = "DISCARDED"


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    DELIVERED = "DELIVERED"
    REFUSED = "REFUSED"
    UNREACHABLE = "UNREACHABLE"
    BLOCKED = "BLOCKED"


class Channel(SQLModel, table=True):
    """What may be known of a configured channel: its name, its routing and its state, never its URL or secrets."""

    __tablename__ = "channels"

    name: str = Field(sa_type=Text, primary_key=True)
    kind: ChannelKind = Field(sa_type=enum_column(ChannelKind, "kind"))
    # Null means each alert of HIGH_TOUCH clients by itself, and a digest of the PLG clients'.
    mode: ChannelMode | None = Field(default=None, sa_type=enum_column(ChannelMode, "mode"))
    # The clients whose alerts it takes; null means whichever.
    engagement_models: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    risks: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    # Whether each alert goes to the owner of its client.
    to_owner: bool
    # When a digest leaves, in the time zone of the schedule.
    digest_at: time
    # Tells whether the URL or the secrets have changed, without telling what they are.
    fingerprint: bytes = Field(sa_type=LargeBinary)
    # False once the configuration no longer names it.
    configured: bool = True
    disabled_at: datetime | None = None
    disabled_reason: str | None = Field(default=None, sa_type=Text)
    # When the scheduler last told the workers that something is due.
    nudged_at: datetime | None = None
    # The moment of the last digest.
    digested_at: datetime | None = None


class Delivery(SQLModel, table=True):
    """One message to one recipient. The row is the truth; a queue message only says that something is due."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("uq_deliveries_alert_id_channel_recipient", "alert_id", "channel", "recipient", unique=True),
        Index("uq_deliveries_run_id_channel", "run_id", "channel", unique=True),
        Index("ix_deliveries_due", "channel", "next_attempt_at", "id", postgresql_where=text("status = 'PENDING'")),
        Index("ix_deliveries_leased", "channel", postgresql_where=text("lease_until IS NOT NULL")),
        Index(
            "ix_deliveries_undelivered",
            "next_attempt_at",
            postgresql_where=text("status IN ('PENDING', 'WAITING') AND digest_id IS NULL"),
        ),
        Index("ix_deliveries_listed", "channel", "status", "id"),
        Index("ix_deliveries_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("ix_deliveries_waiting", "channel", postgresql_where=text("status = 'WAITING'")),
        Index("ix_deliveries_digest_id", "digest_id", postgresql_where=text("digest_id IS NOT NULL")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    # Named by every attempt, so that a receiver knows what it has already.
    message_id: UUID = Field(sa_column_kwargs={"server_default": text("gen_random_uuid()")})
    kind: DeliveryKind = Field(sa_type=enum_column(DeliveryKind, "kind"))
    channel: str = Field(foreign_key="channels.name", sa_type=Text)
    # The address of the client's owner where the channel sends there, else empty.
    recipient: str = Field(default="", sa_type=Text)
    alert_id: int | None = Field(default=None, foreign_key="alerts.id", sa_type=BigInteger)
    # The run whose alerts are held, for the message that says so.
    run_id: int | None = Field(default=None, foreign_key="runs.id", sa_type=BigInteger)
    # Whether it leaves as a part of a digest, and that digest's own delivery once there is one.
    digest: bool = False
    digest_id: int | None = Field(default=None, foreign_key="deliveries.id", sa_type=BigInteger)
    # What a digest or a message about held alerts is made of.
    details: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    status: DeliveryStatus = Field(sa_type=enum_column(DeliveryStatus, "status"))
    # What is sent, fixed by the first attempt: the same id must always bring the same content.
    body: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_column_kwargs={"server_default": text("clock_timestamp()")})
    # How often it was claimed. It fences the effects: what an older attempt reports is refused.
    attempt: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    next_attempt_at: datetime
    lease_until: datetime | None = None
    finished_at: datetime | None = None
    # Why it failed for good or was discarded.
    reason: str | None = Field(default=None, sa_type=Text)


class DeliveryAttempt(SQLModel, table=True):
    """One attempt, written when it begins: one without an outcome is under way, or its worker was killed."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_attempts"),)

    delivery_id: int = Field(foreign_key="deliveries.id", sa_type=BigInteger)
    number: int = Field(sa_type=SmallInteger)
    started_at: datetime
    finished_at: datetime | None = None
    outcome: AttemptOutcome | None = Field(default=None, sa_type=enum_column(AttemptOutcome, "outcome"))
    http_status: int | None = Field(default=None, sa_type=SmallInteger)
    # The first 500 bytes of the answer, as text.
    answer: str | None = Field(default=None, sa_type=Text)
    # What went wrong, in a sentence without the channel's URL.
    problem: str | None = Field(default=None, sa_type=Text)
