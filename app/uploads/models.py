"""Rows that were sent over HTTP: what waits to be imported, and what became of it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, LargeBinary, PrimaryKeyConstraint, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column


class UploadFormat(StrEnum):
    """How the rows are written."""

    CSV = "CSV"
    JSONL = "JSONL"


class Upload(SQLModel, table=True):
    """One body of rows of one kind, and what has become of it so far."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("uq_uploads_run_id", "run_id", unique=True),
        Index("ix_uploads_started_at", "started_at"),
        # Few at any time: those whose content is still there.
        Index("ix_uploads_stored", "started_at", postgresql_where=text("stored")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    started_at: datetime
    # What the rows are, by its name among the kinds of files.
    kind: str = Field(sa_type=Text)
    format: UploadFormat = Field(sa_type=enum_column(UploadFormat, "format"))
    # The key that it was sent with; null for an administrator's.
    write_key_id: int | None = Field(default=None, foreign_key="write_keys.id", sa_type=BigInteger)
    # The run that imports it; null until all of it has arrived.
    run_id: int | None = Field(default=None, foreign_key="runs.id", sa_type=BigInteger)
    # Unpacked bytes, known once all have arrived.
    size: int = Field(default=0, sa_type=BigInteger)
    # Whether its chunks are kept, as they are until the run has ended.
    stored: bool = True
    # Rows of it that were read, and what became of them: the first count is the sum of the others.
    read: int = Field(default=0, sa_type=BigInteger)
    new: int = Field(default=0, sa_type=BigInteger)
    changed: int = Field(default=0, sa_type=BigInteger)
    unchanged: int = Field(default=0, sa_type=BigInteger)
    rejected: int = Field(default=0, sa_type=BigInteger)
    # Names of columns that the kind does not have.
    unknown_columns: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))


class UploadChunk(SQLModel, table=True):
    """A piece of an upload, compressed by itself."""

    __tablename__ = "upload_chunks"
    __table_args__ = (PrimaryKeyConstraint("upload_id", "number", name="pk_upload_chunks"),)

    upload_id: int = Field(sa_column=Column(BigInteger, ForeignKey("uploads.id", ondelete="CASCADE"), nullable=False))
    # From 0 on, without gaps.
    number: int
    content: bytes = Field(sa_type=LargeBinary)


class RejectedRow(SQLModel, table=True):
    """A row of an upload that could not be used; of each upload the first ones are kept."""

    __tablename__ = "rejected_rows"
    __table_args__ = (PrimaryKeyConstraint("upload_id", "line", name="pk_rejected_rows"),)

    upload_id: int = Field(sa_column=Column(BigInteger, ForeignKey("uploads.id", ondelete="CASCADE"), nullable=False))
    # The number of the line that the row began with.
    line: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    # What the row held, as JSON.
    content: str = Field(sa_type=Text)
