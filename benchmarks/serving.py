"""The API over HTTP: the portfolio page against a hand-written endpoint, one client's page, and peer benchmarks."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.auth.tokens import Role, issue_token
from app.graphql.pagination import global_id
from app.settings import Settings
from benchmarks.load import Load, as_json
from benchmarks.report import Result
from benchmarks.servers import web_process

OPERATIONS = Path(__file__).parent.parent / "tests" / "contract"
REQUESTS = {1: 400, 16: 1_600}
WARM_UP = 50


@dataclass(frozen=True, slots=True)
class Speed:
    """How a load was answered: requests a second, and the median and the 95th percentile in milliseconds."""

    rate: float
    p50: float
    p95: float
    answer: Any

    def __str__(self) -> str:
        return f"{self.rate:,.0f} requests/s, p50 {self.p50:.1f} ms, p95 {self.p95:.1f} ms"


def portfolio(
    clients: int, env: dict[str, str], smallest: dict[int, tuple[int, float]], tell: Callable[[str], None]
) -> list[Result]:
    """Return the speed of the first page of 50 with its summary, at each concurrency.

    `smallest` holds the first size that was measured and its median by concurrency; the first call fills it.
    Raises RuntimeError when the two endpoints return different JSON.
    """
    ours: dict[int, Speed] = {}
    theirs: dict[int, Speed] = {}
    with web_process(["app.cli", "web"], env) as (port, _), web_process(["benchmarks.handwritten"], env) as (other, _):
        for concurrency in REQUESTS:
            tell(f"portfolio page at concurrency {concurrency}")
            ours[concurrency] = _graphql(port, env, "portfolio", "Portfolio", {}, concurrency=concurrency)
            theirs[concurrency] = send(Load(other, "POST", "/portfolio", {}, [""], concurrency, *_counts(concurrency)))
    if _instants(ours[1].answer) != _instants(theirs[1].answer):
        raise RuntimeError("the API and the hand-written endpoint return different pages")
    results = []
    for concurrency, speed in ours.items():
        compared = f"{speed.rate / theirs[concurrency].rate:.2f} of a hand-written endpoint"
        size, p50 = smallest.setdefault(concurrency, (clients, speed.p50))
        if size != clients:
            compared += f"; p50 is {speed.p50 / p50:.2f} of that at {size:,} clients"
        results.append(Result(f"portfolio page of 50, concurrency {concurrency}", clients, str(speed), compared))
        results.append(
            Result(f"the same page, hand-written, concurrency {concurrency}", clients, str(theirs[concurrency]))
        )
    return results


def details(clients: int, env: dict[str, str], tell: Callable[[str], None]) -> list[Result]:
    """Return the speed of one client's page, and of benchmarks among all clients."""
    with web_process(["app.cli", "web"], env) as (port, _):
        tell("one client's page")
        client = global_id("Client", clients // 2)
        page = _graphql(port, env, "client", "ClientDetail", {"id": client})
        tell("benchmarks")
        peers = _graphql(port, env, "benchmarks", "Benchmarks", {"clientId": client})
    counted = peers.answer["data"]["benchmarks"]["peerCount"]
    return [
        Result("one client's page, concurrency 1", clients, str(page)),
        Result(f"benchmarks over {counted:,} peers, concurrency 1", clients, str(peers)),
    ]


def _counts(concurrency: int) -> tuple[int, int]:
    return REQUESTS[concurrency], WARM_UP


def _graphql(
    port: int, env: dict[str, str], file: str, operation: str, variables: dict[str, Any], *, concurrency: int = 1
) -> Speed:
    settings = Settings()
    token = issue_token(
        env["AUTH_SECRET"],
        subject="benchmark",
        role=Role.CLIENT_SUCCESS,
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC),
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
    )
    document = (OPERATIONS / f"{file}.graphql").read_text(encoding="utf-8")
    body = json.dumps({"query": document, "operationName": operation, "variables": variables})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    speed = send(Load(port, "POST", "/graphql", headers, [body], concurrency, *_counts(concurrency)))
    if "errors" in speed.answer:
        raise RuntimeError(f"{operation} was answered with {speed.answer['errors']}")
    return speed


def send(load: Load) -> Speed:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=as_json(load),
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        # Ctrl-C in a terminal is this process's alone, which then ends the other one.
        start_new_session=True,
    )
    found = json.loads(done.stdout)
    latencies = [1000 * seconds for seconds in found["latencies"]]
    return Speed(
        rate=len(latencies) / found["seconds"],
        p50=latencies[len(latencies) // 2],
        p95=latencies[len(latencies) * 95 // 100],
        answer=json.loads(found["answer"]),
    )


def _instants(value: Any) -> Any:
    """Return the answer with every moment as a moment: there is more than one way to write UTC."""
    match value:
        case dict():
            return {
                key: datetime.fromisoformat(item) if key.endswith("At") and item else _instants(item)
                for key, item in value.items()
            }
        case list():
            return [_instants(item) for item in value]
        case _:
            return value
