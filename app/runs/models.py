"""Runs: the work that is done behind a request, with its progress and its errors."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, PrimaryKeyConstraint, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column
from app.runs.rules import SlotJob


class RunKind(StrEnum):
    """What a run does."""

    RECALCULATE_ONE = "RECALCULATE_ONE"
    RECALCULATE_ALL = "RECALCULATE_ALL"
    RECORD_METRICS = "RECORD_METRICS"
    SET_ALERTS = "SET_ALERTS"
    IMPORT = "IMPORT"
    REPLAY_ALERTS = "REPLAY_ALERTS"
    ERASE = "ERASE"


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


UNFINISHED = "status IN ('QUEUED', 'RUNNING')"


class Run(SQLModel, table=True):
    """One piece of accepted work. The row is the truth; a queue message only points at it."""

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "uq_runs_unfinished",
            "kind",
            text("coalesce(client_id, 0)"),
            text("coalesce(day, '-infinity')"),
            text("md5(coalesce(parameters, '{}')::text)"),
            unique=True,
            postgresql_where=text(UNFINISHED),
        ),
        Index("ix_runs_unfinished", "requested_at", postgresql_where=text(UNFINISHED)),
        Index("ix_runs_finished_at", "finished_at", postgresql_where=text("status = 'SUCCEEDED'")),
        Index("ix_runs_releasing", "id", postgresql_where=text("releasing")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    kind: RunKind = Field(sa_type=enum_column(RunKind, "kind"))
    status: RunStatus = Field(default=RunStatus.QUEUED, sa_type=enum_column(RunStatus, "status"))
    client_id: int | None = Field(default=None, foreign_key="clients.id", sa_type=BigInteger)
    # The scoring day, or the day whose metrics are recorded.
    day: date | None = None
    # The moment that the work looks at the facts from.
    as_of: datetime | None = None
    # What else the kind needs to know, a filter for example.
    parameters: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    requested_by: str = Field(sa_type=Text)
    request_id: str | None = Field(default=None, sa_type=Text)
    requested_at: datetime
    # When a message that points here was last sent; null until the sweeper had to.
    sent_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    # How many pieces there are; null until they were counted.
    total: int | None = None
    done: int = 0
    failed: int = 0
    # Where the next batch starts: every client with an id up to this one is done.
    position: int = Field(default=0, sa_type=BigInteger)
    # How often the run was claimed. It fences the effects: a batch of an older attempt is refused.
    attempt: int = Field(default=0, sa_type=SmallInteger)
    # How many attempts in a row got no further; those that a stopping worker gave back in order do not count.
    fruitless_attempts: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    lease_until: datetime | None = None
    # Whether the alerts that it raised are no storm and are still being released, a batch at a time.
    releasing: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    # Why the run as a whole failed.
    reason: str | None = Field(default=None, sa_type=Text)


class Slot(SQLModel, table=True):
    """One job's turn on one day of the schedule's time zone, written in the transaction that accepts its run."""

    __tablename__ = "slots"
    __table_args__ = (PrimaryKeyConstraint("job", "day", name="pk_slots"),)

    job: SlotJob = Field(sa_type=enum_column(SlotJob, "job"))
    day: date
    due_at: datetime
    run_id: int = Field(foreign_key="runs.id", sa_type=BigInteger)


class RunError(SQLModel, table=True):
    """What went wrong for one client of a run."""

    __tablename__ = "run_errors"
    __table_args__ = (PrimaryKeyConstraint("run_id", "client_id", name="pk_run_errors"),)

    run_id: int = Field(foreign_key="runs.id", sa_type=BigInteger)
    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    message: str = Field(sa_type=Text)
    attempt: int = Field(sa_type=Integer)
