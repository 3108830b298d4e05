"""Events as they came in, what became of them, and the keys that senders write with."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Identity, Index, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.database import enum_column
from app.events.rules import EventType, UnmappedReason


class Event(SQLModel, table=True):
    """One accepted message: that it came, not what it said. Neither traits nor properties are kept.

    The table is partitioned by `day`, the UTC day of the event, a partition a day, named `events_YYYYMMDD`. A message
    that is sent again names the same time, so that its id meets itself within one partition.
    """

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("day", "message_id", name="pk_events"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    day: date
    message_id: str = Field(sa_type=Text)
    at: datetime
    received_at: datetime
    type: EventType = Field(sa_type=enum_column(EventType, "type"))
    # The name of a tracked event, a page or a screen; of an alias the id that it replaces.
    name: str | None = Field(default=None, sa_type=Text)
    # The external ids of the client and the member, as far as the event tells.
    client: str | None = Field(default=None, sa_type=Text)
    member: str | None = Field(default=None, sa_type=Text)


class ActivityDay(SQLModel, table=True):
    """How many events of a client no fact became of on one UTC day: they are activity all the same."""

    __tablename__ = "activity_days"
    __table_args__ = (PrimaryKeyConstraint("client_id", "day", name="pk_activity_days"),)

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    day: date
    events: int
    first_at: datetime
    last_at: datetime


class UnmappedEvent(SQLModel, table=True):
    """The events of one type and name that no fact became of, counted; or those with an unusable trait of that name."""

    __tablename__ = "unmapped_events"
    __table_args__ = (PrimaryKeyConstraint("type", "name", "reason", name="pk_unmapped_events"),)

    type: EventType = Field(sa_type=enum_column(EventType, "type"))
    # Empty for events without a name, and for all names beyond those that are told apart.
    name: str = Field(sa_type=Text)
    reason: UnmappedReason = Field(sa_type=enum_column(UnmappedReason, "reason"))
    events: int = Field(sa_type=BigInteger)
    # When the first and the latest of them came in.
    first_received_at: datetime
    last_received_at: datetime


class WriteKey(SQLModel, table=True):
    """A key that events are sent with; only its SHA-256 is stored."""

    __tablename__ = "write_keys"
    __table_args__ = (
        Index("uq_write_keys_name", "name", unique=True),
        Index("uq_write_keys_key_hash", "key_hash", unique=True),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    name: str = Field(sa_type=Text)
    key_hash: str = Field(sa_type=Text)
    created_at: datetime
    # To the minute.
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
