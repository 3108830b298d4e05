"""When each feed of facts delivered: overall by day, and for each client."""

from datetime import date, datetime

from sqlalchemy import BigInteger, PrimaryKeyConstraint
from sqlmodel import Field, SQLModel

from app.database import enum_column
from app.feeds.rules import FeedKind


class FeedDay(SQLModel, table=True):
    """That a feed delivered facts on one UTC day."""

    __tablename__ = "feed_days"
    __table_args__ = (PrimaryKeyConstraint("kind", "day", name="pk_feed_days"),)

    kind: FeedKind = Field(sa_type=enum_column(FeedKind, "kind"))
    # The day on which they were received, whenever what they tell of happened.
    day: date
    first_received_at: datetime
    last_received_at: datetime
    # The latest moment that they tell of.
    last_event_at: datetime | None = None


class ClientFeed(SQLModel, table=True):
    """When a feed last delivered facts of one client, to the minute."""

    __tablename__ = "client_feeds"
    __table_args__ = (PrimaryKeyConstraint("client_id", "kind", name="pk_client_feeds"),)

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    kind: FeedKind = Field(sa_type=enum_column(FeedKind, "kind"))
    last_received_at: datetime
    last_event_at: datetime | None = None
