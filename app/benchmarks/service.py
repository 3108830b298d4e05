"""Peer benchmarks by size and industry. Nothing about a group of fewer than five peers leaves this module."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.benchmarks import queries
from app.benchmarks.rules import MINIMUM_PEERS, BenchmarkMetric, percentile_rank, rounded
from app.clients.models import ClientSize, Industry
from app.database import fetch
from app.errors import NotFound


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a peer group. Values and quartiles half up to one decimal; None under five peers."""

    key: BenchmarkMetric
    peer_count: int
    p25: float | None = None
    median: float | None = None
    p75: float | None = None
    client_value: float | None = None
    client_percentile: int | None = None


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """A peer group and its metrics; `as_of` is the latest scoring day among enough peers."""

    peer_count: int
    as_of: date | None
    metrics: list[Metric]

    @property
    def available(self) -> bool:
        """Whether there are enough peers."""
        return self.peer_count >= MINIMUM_PEERS


async def benchmarks(
    connection: AsyncConnection, size: ClientSize | None, industry: Industry | None, client_id: int | None
) -> Benchmarks:
    """Return the benchmarks of the scored, active clients that match, never counting the client itself.

    Raises NotFound for an unknown client.
    """
    own: Mapping[str, Any] = {}
    if client_id is not None:
        found = await fetch(connection, queries.OWN, client_id=client_id)
        if not found:
            raise NotFound("There is no client with this id.")
        own = dict(found[0]._mapping)
    values: dict[str, Any] = {metric: own.get(metric) for metric in queries.METRICS} | {"client_id": client_id}
    if size is not None:
        values["size"] = size
    if industry is not None:
        values["industry"] = industry
    statement = queries.group(by_size=size is not None, by_industry=industry is not None)
    row = (await fetch(connection, statement, **values))[0]
    as_of = row.as_of if row.peers >= MINIMUM_PEERS else None
    return Benchmarks(row.peers, as_of, [_metric(key, row, own.get(key.value.lower())) for key in BenchmarkMetric])


def _metric(key: BenchmarkMetric, row: Row[Any], own: float | None) -> Metric:
    name = key.value.lower()
    peers: int = row._mapping[f"{name}_peers"]
    if row.peers < MINIMUM_PEERS or peers < MINIMUM_PEERS:
        return Metric(key, peers)
    below, ties = row._mapping[f"{name}_below"], row._mapping[f"{name}_ties"]
    lower_is_better = key is BenchmarkMetric.CASE_RESOLUTION_DAYS
    better_than = peers - below - ties if lower_is_better else below
    return Metric(
        key,
        peers,
        p25=rounded(row._mapping[f"{name}_p25"]),
        median=rounded(row._mapping[f"{name}_median"]),
        p75=rounded(row._mapping[f"{name}_p75"]),
        client_value=None if own is None else rounded(own),
        client_percentile=None if own is None else percentile_rank(better_than, ties, peers),
    )


def unavailable_reason(peers: int) -> str:
    """Return the sentence that says why a group of too few peers has no benchmarks."""
    return (
        f"Only {peers} {'client matches' if peers == 1 else 'clients match'} the filters, and benchmarks need at least "
        f"{MINIMUM_PEERS} peers to keep each client's figures private; choose a broader size or industry."
    )
