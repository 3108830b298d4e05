"""The settings of every process, read once from the environment."""

import re
from datetime import time
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Frozen settings; each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    # PostgreSQL, as postgresql://user:password@host/database; unset means the embedded server.
    database_url: str | None = Field(default=None, repr=False)
    # Redis or Valkey, as redis://host:port/0; unset means the embedded server.
    redis_url: str | None = Field(default=None, repr=False)
    # Where the embedded servers keep their files; unset means a folder beside the code or below /var/lib.
    data_dir: Path | None = None
    # Connections that one web process holds open to PostgreSQL.
    database_pool_size: int = Field(default=10, ge=1, le=200)
    # Seconds after which PostgreSQL cancels a statement of the web process.
    statement_timeout_seconds: int = Field(default=15, ge=1, le=600)

    # The secret that signs and checks HS256 tokens, at least 32 bytes; one of this and OIDC_ISSUER is needed.
    auth_secret: str | None = Field(default=None, repr=False)
    # The OIDC issuer whose RS256 and ES256 tokens are accepted instead.
    oidc_issuer: str | None = None
    # Where that issuer publishes its keys; unset means what its discovery document says.
    oidc_jwks_url: str | None = None
    # The `iss` of HS256 tokens.
    auth_issuer: str = "client-health"
    # The `aud` that every token must carry.
    auth_audience: str = "client-health"
    # The claim that holds the role.
    auth_role_claim: str = "role"
    # The claim that names a person in the audit trail, `email` for example; `sub` where a token has no such claim.
    auth_subject_claim: str = "sub"

    # This service's client id at that issuer, with which people sign in to the dashboard; it needs PUBLIC_URL.
    oidc_client_id: str | None = None
    # The client's secret, where the issuer has given it one.
    oidc_client_secret: str | None = Field(default=None, repr=False)
    # The scopes that are asked for when somebody signs in; the ID token has to carry the role then.
    oidc_scope: str = "openid"
    # Where browsers reach the dashboard, as in https://health.example.com; unset means the address that they ask.
    public_url: str | None = None
    # Hours after which somebody has to sign in to the dashboard again.
    session_hours: int = Field(default=12, ge=1, le=720)

    # Clients that one transaction of a recalculation scores.
    recalculation_batch_size: int = Field(default=2000, ge=1, le=10_000)
    # Milliseconds between two batches, so that a recalculation never crowds out the readers.
    recalculation_pause_ms: int = Field(default=100, ge=0, le=60_000)
    # Seconds for which a worker owns a run without a sign of life.
    run_lease_seconds: int = Field(default=15, ge=2, le=3600)
    # Seconds after which the scheduler sends a run again that was accepted and is not being carried out.
    sweep_after_seconds: int = Field(default=3, ge=1, le=600)
    # Attempts in a row that got no further before the scheduler gives a run up as failed.
    max_attempts: int = Field(default=5, ge=1, le=100)
    # The time of day at which the metrics of the day before are recorded.
    metrics_time: time = time(1)
    # The time of day at which all clients are recalculated.
    recalculation_time: time = time(2)
    # The time zone of both, by its name in the IANA database, Europe/Berlin for example.
    schedule_time_zone: ZoneInfo = ZoneInfo("UTC")

    # Points that a score has to fall by more than for an alert of its own.
    alert_drop_points: int = Field(default=5, ge=0, le=100)
    # Points that it has to fall by more than once again, while an alert of the client is unresolved.
    alert_again_points: int = Field(default=5, ge=0, le=100)
    # Percentage of the scored clients above which the alerts of one recalculation are held: a feed may have broken.
    alert_storm_share: int = Field(default=20, ge=0, le=100)
    # Clients with an alert that it takes at least for that.
    alert_storm_minimum: int = Field(default=10, ge=1, le=1_000_000)

    # The TOML file that names the channels which alerts are delivered on; unset means none. It needs PUBLIC_URL.
    alert_channels: Path | None = None
    # Internal hosts that webhooks may reach all the same, over http as well, as in hooks.internal,10.0.0.7.
    alert_allowed_hosts: str = ""
    # Days after which what was delivered, given up or discarded is deleted, and so is what a replay has counted.
    delivery_retention_days: int = Field(default=400, ge=30, le=36_500)

    # The TOML file that says which events become which facts, beside those that are understood as they are.
    event_mapping: Path | None = None
    # Days for which it is remembered that an event came in; what happened earlier is refused.
    event_retention_days: int = Field(default=400, ge=31, le=3650)

    # Bytes of the longest body of rows that is taken over HTTP, packed and unpacked.
    import_max_bytes: int = Field(default=1_000_000_000, ge=1_000, le=100_000_000_000)

    # Bytes of the largest GraphQL request that is read.
    max_request_bytes: int = Field(default=100_000, ge=1_000, le=10_000_000)
    # Origins of other pages whose scripts may open a WebSocket, as in https://a.example,https://b.example.
    allowed_origins: str = ""
    # Milliseconds between two looks at the database while somebody subscribes to runs or alerts.
    live_poll_ms: int = Field(default=300, ge=50, le=10_000)
    # Least severe log lines that are written: debug, info, warning or error.
    log_level: str = "info"

    @field_validator("log_level")
    @classmethod
    def _known_log_level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("LOG_LEVEL must be debug, info, warning or error")
        return value.lower()

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"postgres(ql)?(\+\w+)?://", value):
            raise ValueError("DATABASE_URL must look like postgresql://user:password@host/database")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"(rediss?|unix)://", value):
            raise ValueError("REDIS_URL must look like redis://host:6379/0")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/?#@\s]+/?", value, re.IGNORECASE):
            raise ValueError("PUBLIC_URL must look like https://health.example.com, without a path")
        return value and value.removesuffix("/").lower()

    @field_validator("metrics_time", "recalculation_time")
    @classmethod
    def _local_time(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("it must be a time of day as in 01:00; SCHEDULE_TIME_ZONE names its zone")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _allowed_origins(cls, value: str) -> str:
        origins = [origin.strip().lower() for origin in value.split(",") if origin.strip()]
        if not all(re.fullmatch(r"https?://[^/?#\s]+", origin) for origin in origins):
            raise ValueError("ALLOWED_ORIGINS must look like https://a.example,https://b.example:8443")
        return ",".join(origins)

    @field_validator("auth_secret")
    @classmethod
    def _long_secret(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode()) < 32:
            raise ValueError("AUTH_SECRET must have at least 32 bytes")
        return value

    @field_validator("alert_allowed_hosts")
    @classmethod
    def _alert_allowed_hosts(cls, value: str) -> str:
        hosts = [host.strip().lower() for host in value.split(",") if host.strip()]
        if not all(re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*", host) for host in hosts):
            raise ValueError(
                "ALERT_ALLOWED_HOSTS must be names or addresses without ports, as in hooks.internal,10.0.0.7"
            )
        return ",".join(hosts)

    @model_validator(mode="after")
    def _links_in_alerts(self) -> "Settings":
        if self.alert_channels and not self.public_url:
            raise ValueError("ALERT_CHANNELS needs PUBLIC_URL, to which the messages link")
        return self

    @model_validator(mode="after")
    def _ways_to_sign_in(self) -> "Settings":
        if self.auth_secret and self.oidc_issuer:
            raise ValueError("set AUTH_SECRET or OIDC_ISSUER, not both")
        if self.oidc_client_id and not (self.oidc_issuer and self.public_url):
            raise ValueError("OIDC_CLIENT_ID needs OIDC_ISSUER, and PUBLIC_URL to which people come back")
        return self


@cache
def get_settings() -> Settings:
    """Return the settings of this process.

    Raises pydantic.ValidationError, which names the variable, when one of them is out of range.
    """
    return Settings()
