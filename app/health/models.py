"""Health scores with what they were computed from, and the policies they were computed with."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from app.database import enum_column
from app.health.rules import HealthTrend, RiskLevel, TrafficLight


class HealthPolicy(SQLModel, table=True):
    """One version of the weights and thresholds; a row is never changed, a change is a new version.

    The columns are the fields of health.rules.Policy.
    """

    __tablename__ = "health_policies"

    version: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    login_weight: int = Field(sa_type=SmallInteger)
    case_weight: int = Field(sa_type=SmallInteger)
    campaign_weight: int = Field(sa_type=SmallInteger)
    feature_weight: int = Field(sa_type=SmallInteger)
    ticket_weight: int = Field(sa_type=SmallInteger)
    full_login_share: int = Field(sa_type=SmallInteger)
    green_from: int = Field(sa_type=SmallInteger)
    amber_from: int = Field(sa_type=SmallInteger)
    trend_step: int = Field(sa_type=SmallInteger)
    high_risk_below: int = Field(sa_type=SmallInteger)
    high_risk_declining_below: int = Field(sa_type=SmallInteger)
    medium_risk_below: int = Field(sa_type=SmallInteger)
    minimum_coverage: int = Field(sa_type=SmallInteger)


class HealthScore(SQLModel, table=True):
    """The score of one client on one scoring day, with the counts that explain it."""

    __tablename__ = "health_scores"
    __table_args__ = (PrimaryKeyConstraint("client_id", "day", name="pk_health_scores"),)

    client_id: int = Field(foreign_key="clients.id", sa_type=BigInteger)
    day: date
    as_of: datetime
    calculated_at: datetime
    policy_version: int = Field(foreign_key="health_policies.version", sa_type=SmallInteger)
    # Null for an unscored client, and with it light, trend and risk.
    score: int | None = Field(default=None, sa_type=SmallInteger)
    # The score that the trend was taken against: the most recent one of an earlier day.
    previous_score: int | None = Field(default=None, sa_type=SmallInteger)
    coverage: int = Field(sa_type=SmallInteger)
    light: TrafficLight | None = Field(default=None, sa_type=enum_column(TrafficLight, "light"))
    trend: HealthTrend | None = Field(default=None, sa_type=enum_column(HealthTrend, "trend"))
    risk: RiskLevel | None = Field(default=None, sa_type=enum_column(RiskLevel, "risk"))
    login_score: int | None = Field(default=None, sa_type=SmallInteger)
    case_score: int | None = Field(default=None, sa_type=SmallInteger)
    campaign_score: int | None = Field(default=None, sa_type=SmallInteger)
    feature_score: int | None = Field(default=None, sa_type=SmallInteger)
    ticket_score: int | None = Field(default=None, sa_type=SmallInteger)

    # What the score was computed from: the fields of health.rules.Counts.
    members: int
    active_members: int
    cases_closed: int
    cases_on_time: int
    campaigns_completed: list[int] = Field(sa_type=ARRAY(Integer))
    campaigns_assigned: list[int] = Field(sa_type=ARRAY(Integer))
    features_enabled: int
    features_used: int
    tickets_opened: int
    tickets_before: int
    tickets_tracked: bool
    # The components whose feed was silent: what they keep, whatever was counted, as in {"LOGIN": {"score": 71, "day":
    # "2026-03-31", "silent_since": "2026-03-31", "stale_since": "2026-04-03", "lapsed": false}}; the fields are those
    # of health.rules.Kept. The score of a component that has lapsed is null above, unless the overall score would be
    # higher without it. Null where every feed delivered.
    stale: dict[str, dict[str, Any]] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
