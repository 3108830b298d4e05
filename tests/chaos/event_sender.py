"""Send events through Segment's Python client, from several threads at once; print what it reports as failed.

The events are always the same: each has its own id and time, so that a second process that is told the same sends them
all again.
"""

import json
import sys
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

from segment.analytics.client import Client

CLIENT = "acme"
EVENTS = ("Logged In", "Home", "Ticket Opened", "Home", "Home")


def main() -> None:
    """Send, wait until all is answered, and print the failures as a list of texts."""
    address, key, since, threads, count = sys.argv[1:]
    failures: list[str] = []
    senders = [
        Thread(
            target=send,
            args=(address, key, datetime.fromisoformat(since)),
            kwargs={"number": number, "count": int(count), "failures": failures},
        )
        for number in range(int(threads))
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    json.dump(failures, sys.stdout)


def send(address: str, key: str, since: datetime, *, number: int, count: int, failures: list[str]) -> None:
    """Send the events of one thread, in small batches, and wait until all of them are answered."""

    def failed(error: Exception, _events: list[Any]) -> None:
        failures.append(repr(error))

    client = Client(key, host=address, gzip=number % 2 == 1, upload_size=10, upload_interval=0.05, on_error=failed)
    for place in range(count):
        name = EVENTS[place % len(EVENTS)]
        client.track(
            user_id=f"member {number}",
            event=name,
            properties={"ticket_id": f"{number}-{place}"},
            context={"groupId": CLIENT},
            timestamp=since + timedelta(seconds=place),
            message_id=f"{number}-{place}",
        )
    client.shutdown()


if __name__ == "__main__":
    main()
