"""Send calls through Segment's Python client, in a process of its own, and print what it reports as failed.

Standard input has the settings of the client, and the calls by their names in the documentation.
"""

import json
import re
import sys
from datetime import datetime
from typing import Any

from segment.analytics.client import Client


def main() -> None:
    """Send, wait until all is answered, and print the failures as a list of texts."""
    order = json.load(sys.stdin)
    failures: list[str] = []
    client = Client(
        order["key"], host=order["host"], on_error=lambda error, _: failures.append(str(error)), **order["settings"]
    )
    for call in order["calls"]:
        arguments = {re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name): call[name] for name in call}
        if "timestamp" in arguments:
            arguments["timestamp"] = datetime.fromisoformat(arguments["timestamp"])
        _send(client, arguments)
    client.shutdown()
    json.dump(failures, sys.stdout)


def _send(client: Any, arguments: dict[str, Any]) -> None:
    accepted, _ = getattr(client, arguments.pop("call"))(**arguments)
    if not accepted:
        raise RuntimeError(f"the client did not take {arguments}")


if __name__ == "__main__":
    main()
