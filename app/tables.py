"""Imports every table, so that `metadata` is complete wherever the whole schema matters."""

from sqlmodel import SQLModel

import app.alerts.models
import app.audit.models
import app.auth.models
import app.clients.models
import app.delivery.models
import app.events.models
import app.feeds.models
import app.health.models
import app.runs.models
import app.uploads.models
import app.usage.models  # noqa: F401

metadata = SQLModel.metadata
