"""The setup of `./dev`: when an environment counts as current, and what a clone without one does."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def loaded(folder: Path) -> ModuleType:
    """Return `dev` of the clone in `folder`, as a module."""
    loader = importlib.machinery.SourceFileLoader("dev_of_a_clone", str(folder / "dev"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that has what the setup reads."""
    for name in ("dev", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def dev(clone: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Its `dev`, with an environment that is finished."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = loaded(clone)
    module.VENV.mkdir()
    module.STAMP.write_text(module.fingerprint())
    return module


def test_a_finished_environment_is_left_alone(dev: ModuleType) -> None:
    dev.ensure_environment()
    assert [path.name for path in dev.VENV.iterdir()] == ["stamp"]


def test_an_environment_without_its_stamp_is_not_finished(dev: ModuleType) -> None:
    dev.STAMP.unlink()
    assert not dev.environment_is_current()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("requirements-dev.lock", "", "\n"),
        ("pyproject.toml", 'name = "client-health"', 'name = "client-wealth"'),
        ("pyproject.toml", '"app.cli:main"', '"app.cli:other"'),
    ],
)
def test_a_change_of_what_is_installed_makes_it_out_of_date(dev: ModuleType, name: str, old: str, new: str) -> None:
    path = dev.ROOT / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert not dev.environment_is_current()


def test_a_change_of_the_linters_rules_does_not(dev: ModuleType) -> None:
    path = dev.ROOT / "pyproject.toml"
    path.write_text(path.read_text().replace("line-length = 120", "line-length = 100"))
    assert dev.environment_is_current()


def test_an_environment_that_was_moved_is_out_of_date(
    dev: ModuleType, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "clone"
    shutil.copytree(clone, elsewhere)
    assert not loaded(elsewhere).environment_is_current()
    assert dev.environment_is_current()


def test_without_a_command_it_tells_the_commands_and_makes_nothing(clone: Path) -> None:
    for arguments, code in ((["help"], 0), ([], 0), (["dance"], 2)):
        done = subprocess.run([sys.executable, clone / "dev", *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - the clone's.
        assert done.returncode == code
        assert "./dev up" in done.stdout
    assert not (clone / ".venv").exists()


def test_the_locks_pin_the_same_versions_and_name_no_server() -> None:
    runtime, everything = (
        (ROOT / name).read_text().splitlines() for name in ("requirements.lock", "requirements-dev.lock")
    )
    pins = [line for line in runtime if "==" in line]
    assert pins
    assert set(pins) <= set(everything)
    for line in (*runtime, *everything):
        assert line.startswith(("#", "    --hash=sha256:")) or "==" in line
        assert "://" not in line
