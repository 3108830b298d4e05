"""PostgreSQL or Valkey is down or hung: callers are told so at once, and what was accepted is carried out later."""

import os
import signal
import statistics
import time

import pytest

from app.embedded import restart_dead
from tests.chaos import portfolio
from tests.chaos.gate import WAITS, gate, held_up
from tests.chaos.portfolio import add_portfolio, all_finished, client_id, take_todays_slots
from tests.chaos.service import Service, service, until
from tests.factories import rows_of
from tests.machine import descendants

CLIENTS = 20
# Less than the second after which a client of Redis gives up: whoever waited for it would take longer.
ANSWER_SECONDS = 0.8
FINISH_SECONDS = 40.0
SETTINGS = {"RUN_LEASE_SECONDS": "3", "RECALCULATION_BATCH_SIZE": "2", "RECALCULATION_PAUSE_MS": "500"}
RUNS = "SELECT kind, status, total, done, failed FROM runs WHERE requested_by = 'ann'"


async def test_a_killed_postgres_is_told_of_and_everything_goes_on_when_it_is_back() -> None:
    async with service(**SETTINGS) as running:
        await add_portfolio(running.database, CLIENTS)
        await take_todays_slots(running.database)
        web = await running.start_web()
        worker, scheduler = running.start("worker"), running.start("scheduler")
        await running.accept(portfolio.RECALCULATE_ALL)
        await until(lambda: some_done(running), 60, "the run is being carried out")

        # A process of it that lives on for a moment would still answer.
        for pid in (running.postgres.process.pid, *descendants(running.postgres.process.pid)):
            os.kill(pid, signal.SIGKILL)
        running.postgres.process.wait(30)
        for _ in range(3):
            answer = await running.ask(portfolio.SUMMARY)
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"]
            answer = await running.ask(portfolio.RECALCULATE_ALL)
            assert answer["data"]["recalculateAllHealth"]["code"] == "UNAVAILABLE"
        assert (await running.http.get("/healthz")).status_code == 200
        ready = await running.http.get("/readyz")
        assert (ready.status_code, ready.json()["database"], ready.json()["redis"]) == (503, "does not answer", "ok")

        assert restart_dead(running.servers) == ["postgres"]
        await until(lambda: serves(running), 60, "requests are answered again")
        # The test's own connections are lost as well.
        await running.database.engine.dispose()
        await until(lambda: all_finished(running.database), FINISH_SECONDS, "the run is finished")
        assert await rows_of(running.database, RUNS) == [("RECALCULATE_ALL", "SUCCEEDED", CLIENTS, CLIENTS, 0)]
        scores = await rows_of(running.database, "SELECT count(*) FROM health_scores WHERE score = 100")
        assert scores == [(2 * CLIENTS,)]
        assert [child.process.poll() for child in (web, worker, scheduler)] == [None, None, None]


async def test_a_cut_connection_is_not_taken_for_a_clients_failure() -> None:
    async with service(**SETTINGS) as running:
        [client, *_] = await add_portfolio(running.database, 1)
        await take_todays_slots(running.database)
        await running.start_web()
        running.start("scheduler")
        running.start("worker")
        async with gate(running) as closed:
            await running.accept(portfolio.RECALCULATE, id=client_id(client))
            await until(lambda: held_up(closed), 60, "the worker waits in the middle of its batch")
            await closed.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {WAITS}")
        await until(lambda: all_finished(running.database), FINISH_SECONDS, "the run is finished")
        assert await rows_of(running.database, RUNS) == [("RECALCULATE_ONE", "SUCCEEDED", 1, 1, 0)]
        assert await rows_of(running.database, "SELECT message FROM run_errors") == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_mutations_do_not_wait_for_a_valkey_that_is_dead_or_hung(how: signal.Signals) -> None:
    async with service(RECALCULATION_PAUSE_MS="0") as running:
        clients = await add_portfolio(running.database, CLIENTS)
        await take_todays_slots(running.database)
        await running.start_web()
        running.start("worker")
        running.start("scheduler")
        # The worker and the scheduler have seen Valkey alive.
        await running.accept(portfolio.RECALCULATE_ALL)
        await until(lambda: all_finished(running.database), 60, "a run is finished")

        running.valkey.process.send_signal(how)
        seconds = []
        for number in clients:
            started = time.monotonic()
            await running.accept(portfolio.RECALCULATE, id=client_id(number))
            seconds.append(time.monotonic() - started)
        # Half of them, so that a busy machine does not matter.
        assert statistics.median(seconds) < ANSWER_SECONDS
        ready = (await running.http.get("/readyz")).json()
        assert (ready["database"], ready["redis"]) == ("ok", "does not answer")

        if how is signal.SIGSTOP:
            running.valkey.process.send_signal(signal.SIGCONT)
        else:
            running.valkey.process.wait(10)
            assert restart_dead(running.servers) == ["valkey"]
        await until(lambda: all_finished(running.database), FINISH_SECONDS, "what was accepted is carried out")
        done = await rows_of(running.database, f"{RUNS} AND kind = 'RECALCULATE_ONE'")
        assert done == [("RECALCULATE_ONE", "SUCCEEDED", 1, 1, 0)] * CLIENTS


async def some_done(running: Service) -> bool:
    """Return whether the run has got somewhere."""
    [(done,)] = await rows_of(running.database, "SELECT done FROM runs WHERE requested_by = 'ann'")
    return int(done) > 0


async def serves(running: Service) -> bool:
    """Return whether a request is answered with data; one that is not has its code."""
    answer = await running.ask(portfolio.SUMMARY)
    if "errors" in answer:
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"]
    return "errors" not in answer
