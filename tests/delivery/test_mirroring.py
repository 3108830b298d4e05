"""Workers write down the channels of their file, and which of them another file had."""

from dataclasses import replace

from structlog.testing import capture_logs

from app.database import Database
from app.delivery.channels import Channel
from app.health.rules import RiskLevel
from tests.delivery.couriers import courier, webhook
from tests.delivery.receiver import Receiver


async def test_a_file_that_is_not_that_of_the_others_says_what_it_replaces(database: Database) -> None:
    # Nothing is sent.
    receiver = Receiver()
    kept, gone, moved, routed = [webhook(receiver, name) for name in ("kept", "gone", "moved", "routed")]
    others = [replace(moved, url=f"{moved.url}x"), replace(routed, risks=(RiskLevel.HIGH,))]
    restarts: list[tuple[list[Channel], tuple[list[str], list[str]] | None]] = [
        ([kept, gone, moved, routed], None),
        ([kept, gone, moved, routed], None),
        ([kept, webhook(receiver), *others], (["gone"], ["moved", "routed"])),
        # What comes back takes nothing from anybody.
        ([kept, gone, *others], (["ops"], [])),
        ([], (["gone", "kept", "moved", "routed"], [])),
        ([], None),
    ]
    for channels, replaced in restarts:
        with capture_logs() as logged:
            async with courier(database, *channels):
                pass
        expected = [] if replaced is None else [("channels_replaced", "warning", *replaced)]
        assert [(e["event"], e["log_level"], e["removed"], e["changed"]) for e in logged] == expected
