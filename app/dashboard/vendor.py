"""Fetches the libraries of the dashboard from the npm registry into `static/vendor/`.

Run `python app/dashboard/vendor.py` after changing a version below, and commit what it writes. It needs `npm`; nobody
who runs the service does. The files are the published ones, unchanged but for two things: a
browser resolves no bare names, so imports become relative paths, and the comments that name source maps go, since the
maps are not served.
"""
# ruff: noqa: S603, T201 - it runs one fixed command and prints what it did.

import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parent / "static" / "vendor"
VERSIONS = {"preact": "11.2.0", "htm": "3.1.1"}
# Which file of which package is kept, and under which name.
FILES = [
    ("preact", "dist/preact.mjs", "preact.js"),
    ("preact", "hooks/dist/hooks.mjs", "hooks.js"),
    ("preact", "LICENSE", "LICENSE.preact"),
    ("htm", "dist/htm.module.js", "htm.js"),
    ("htm", "LICENSE", "LICENSE.htm"),
]
IMPORT_OF_PREACT = re.compile(r'from ?"preact"')
SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=\S+\s*$")


def browser_ready(source: str) -> str:
    """Return a module with relative imports and without the name of its source map."""
    return SOURCE_MAP.sub("\n", IMPORT_OF_PREACT.sub('from"./preact.js"', source))


def fetch(package: str, version: str, folder: Path) -> dict[str, str]:
    """Return the text of the kept files of one package by the name they are kept under."""
    command = ["npm", "pack", f"{package}@{version}", "--json", "--pack-destination", str(folder)]
    packed = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout)
    described = packed[0] if isinstance(packed, list) else packed[package]
    kept = {}
    with tarfile.open(folder / described["filename"]) as archive:
        for owner, path, name in FILES:
            if owner != package:
                continue
            member = archive.extractfile(f"package/{path}")
            if member is None:
                raise FileNotFoundError(f"{package} {version} holds no file {path}")
            kept[name] = browser_ready(member.read().decode("utf-8"))
    return kept


def main() -> None:
    """Replace the vendored files by those of the versions above."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package, version in VERSIONS.items():
            for name, text in fetch(package, version, Path(folder)).items():
                (VENDOR / name).write_text(text, encoding="utf-8")
                print(f"{name}: {len(text):,} characters of {package} {version}")
    lines = [f"{package} {version}\n" for package, version in VERSIONS.items()]
    (VENDOR / "VERSIONS").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
