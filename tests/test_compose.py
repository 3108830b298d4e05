"""What compose hands to the containers: settings that there are, and the file of channels where they look for it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parent.parent
FOR_SERVICE = ("migrate", "web", "worker", "scheduler")


def interpolated(text: str, outside: dict[str, str]) -> str:
    """Return text with ${NAME:-default} and ${NAME:?problem} replaced as compose does."""

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        assert kind == ":-" or outside.get(name), other
        return outside.get(name) or str(other)

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, text)


def services(**outside: str) -> dict[str, Any]:
    """Return the services of compose.yaml for an environment outside."""
    given = {"AUTH_SECRET": "s" * 32, "POSTGRES_PASSWORD": "secret"} | outside
    found: dict[str, Any] = yaml.safe_load(interpolated((ROOT / "compose.yaml").read_text(), given))["services"]
    for name in FOR_SERVICE:
        environment = found[name]["environment"]
        # One without a value is as it is outside.
        passed = {key: given.get(key) if value is None else value for key, value in environment.items()}
        found[name]["environment"] = {key: value for key, value in passed.items() if value is not None}
    return found


@pytest.mark.parametrize("name", FOR_SERVICE)
def test_every_container_finds_the_file_of_channels(name: str) -> None:
    outside = {"ALERT_CHANNELS": "/srv/channels.toml", "PUBLIC_URL": "https://health.example.com"}
    service = services(**outside)[name]
    assert service["volumes"] == ["/srv/channels.toml:/srv/channels.toml:ro"]
    assert service["environment"].items() >= outside.items()
    assert {key.lower() for key in service["environment"]} <= Settings.model_fields.keys()


@pytest.mark.parametrize("name", FOR_SERVICE)
def test_without_channels_there_is_no_setting_and_nothing_is_mounted_from_outside(name: str) -> None:
    service = services()[name]
    assert service["environment"].keys() == {"DATABASE_URL", "REDIS_URL", "AUTH_SECRET"}
    assert service["volumes"] == ["/dev/null:/etc/client-health/no-channels.toml:ro"]
