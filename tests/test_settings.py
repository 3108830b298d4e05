"""Settings: each is documented, and a wrong one is refused with its name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_readme(name: str) -> None:
    assert f"| `{name.upper()}` |" in README


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("database_pool_size", "0", "greater than or equal to 1"),
        ("recalculation_pause_ms", "soon", "valid integer"),
        ("run_lease_seconds", "1", "greater than or equal to 2"),
        ("alert_drop_points", "-1", "greater than or equal to 0"),
        ("alert_again_points", "101", "less than or equal to 100"),
        ("alert_storm_share", "20 %", "valid integer"),
        ("alert_storm_minimum", "0", "greater than or equal to 1"),
        ("delivery_retention_days", "29", "greater than or equal to 30"),
        ("log_level", "loud", "debug, info, warning or error"),
        ("auth_secret", "short", "at least 32 bytes"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    (error,) = refused.value.errors()
    assert error["loc"] == (name,)
    assert problem in error["msg"]


def test_a_secret_and_an_issuer_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_SECRET", "x" * 32)
    monkeypatch.setenv("OIDC_ISSUER", "https://issuer.example")
    with pytest.raises(ValidationError, match="set AUTH_SECRET or OIDC_ISSUER, not both"):
        Settings()
