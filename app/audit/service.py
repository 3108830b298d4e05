"""Writing the audit trail, always in the transaction of the change that it records."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditAction, AuditEvent


def record(
    session: AsyncSession,
    action: AuditAction,
    *,
    actor: str,
    now: datetime,
    request_id: str | None = None,
    client_id: int | None = None,
    run_id: int | None = None,
    changes: dict[str, Any] | None = None,
) -> None:
    """Record who did what; `changes` maps a field to its value before and after."""
    session.add(
        AuditEvent(
            at=now,
            actor=actor,
            action=action,
            client_id=client_id,
            run_id=run_id,
            request_id=request_id,
            changes=changes or {},
        )
    )
