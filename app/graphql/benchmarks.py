"""Peer benchmarks in the API."""

from datetime import date
from typing import Annotated

import strawberry

from app.benchmarks import service
from app.benchmarks.rules import MINIMUM_PEERS, BenchmarkMetric
from app.clients.models import ClientSize, Industry
from app.graphql.context import Info, require
from app.graphql.pagination import key_of

LABELS = {
    BenchmarkMetric.ATTESTATION_COMPLETION: ("Attestation completion", "%"),
    BenchmarkMetric.CASE_RESOLUTION_DAYS: ("Time to close a case", "days"),
    BenchmarkMetric.WEEKLY_LOGIN_RATE: ("Weekly login rate", "%"),
    BenchmarkMetric.FEATURE_ADOPTION: ("Feature adoption", "%"),
}


@strawberry.type(description="One metric of a peer group; under five peers with the metric it holds no value.")
class PeerMetric:
    """One metric with its quartiles and the client's place among them."""

    key: BenchmarkMetric = strawberry.field(description="Which metric this is.")
    label: str = strawberry.field(description="The name of the metric for people.")
    unit: str = strawberry.field(description="The unit of its values: % or days.")
    lower_is_better: bool = strawberry.field(description="Whether a lower value is the better one.")
    peer_count: int = strawberry.field(description="How many peers have the metric.")
    p25: float | None = strawberry.field(description="The first quartile, to one decimal.")
    median: float | None = strawberry.field(description="The median, to one decimal.")
    p75: float | None = strawberry.field(description="The third quartile, to one decimal.")
    client_value: float | None = strawberry.field(description="The selected client's value, to one decimal.")
    client_percentile: int | None = strawberry.field(
        description="The percentage of peers that the client is better than, counting half of the ties."
    )


@strawberry.type(description="How a group of scored, active clients does, never counting the selected client.")
class PeerBenchmarks:
    """A peer group with its metrics."""

    size: ClientSize | None = strawberry.field(description="The size that peers have, null for any.")
    industry: Industry | None = strawberry.field(description="The industry that peers are in, null for any.")
    minimum_peers: int = strawberry.field(description="How many peers it takes for a value to come out.")
    peer_count: int = strawberry.field(description="How many peers there are.")
    available: bool = strawberry.field(description="Whether there are enough peers.")
    unavailable_reason: str | None = strawberry.field(description="Why there are no values, null where there are.")
    as_of: date | None = strawberry.field(
        description="The latest scoring day among the peers, null with too few of them."
    )
    metrics: list[PeerMetric] = strawberry.field(description="The four metrics, in a fixed order.")


@strawberry.type
class BenchmarkQuery:
    """The query about peers."""

    @strawberry.field(description="How peers by size and industry do, and where a client stands among them.")
    async def benchmarks(
        self,
        info: Info,
        size: Annotated[ClientSize | None, strawberry.argument(description="Only peers of this size.")] = None,
        industry: Annotated[Industry | None, strawberry.argument(description="Only peers in this industry.")] = None,
        client_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The client to compare with its peers.")
        ] = None,
    ) -> PeerBenchmarks:
        """Return the benchmarks of one peer group."""
        require(info)
        client_key = None if client_id is None else key_of("clientId", client_id, "Client")
        async with info.context.database.read() as connection:
            found = await service.benchmarks(connection, size, industry, client_key)
        return benchmarks_of(found, size, industry)


def benchmarks_of(found: service.Benchmarks, size: ClientSize | None, industry: Industry | None) -> PeerBenchmarks:
    """Return the benchmarks as the API shows them."""
    return PeerBenchmarks(
        size=size,
        industry=industry,
        minimum_peers=MINIMUM_PEERS,
        peer_count=found.peer_count,
        available=found.available,
        unavailable_reason=None if found.available else service.unavailable_reason(found.peer_count),
        as_of=found.as_of,
        metrics=[
            PeerMetric(
                key=metric.key,
                label=LABELS[metric.key][0],
                unit=LABELS[metric.key][1],
                lower_is_better=metric.key is BenchmarkMetric.CASE_RESOLUTION_DAYS,
                peer_count=metric.peer_count,
                p25=metric.p25,
                median=metric.median,
                p75=metric.p75,
                client_value=metric.client_value,
                client_percentile=metric.client_percentile,
            )
            for metric in found.metrics
        ],
    )
