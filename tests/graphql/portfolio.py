"""The small portfolio that the tests of the API ask: sixty clients with facts of every kind, scored on two days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.database import Database
from app.health.rules import end_of_day
from app.health.service import score_day
from app.ingest.service import import_path
from app.usage.service import record_day

CLIENTS = 60
NAMES = {1: "100% Äpfel", 2: "under_score", 3: "Rocket 🚀 GmbH", 4: "back\\slash", 5: "O'Hara; DROP TABLE clients"}
SIZES = ("ENTERPRISE", "MIDMARKET", "SMB")
INDUSTRIES = ("FINANCIAL", "HEALTHCARE", "TECHNOLOGY", "MANUFACTURING", "OTHER")


def name_of(number: int) -> str:
    """Return the name of a client by its number from 1 to CLIENTS."""
    return NAMES.get(number, f"Company {number:02}")


def write_portfolio(folder: Path, now: datetime) -> None:
    """Write the files of the portfolio; its facts lie in the ten days before `now`, but for one case a client."""
    numbers = range(1, CLIENTS + 1)
    ago = [(now - timedelta(days=days, minutes=1)).isoformat() for days in range(11)]
    files = {
        "clients": ["external_id,name,size,industry,status,engagement_model,owner,renewal_date"]
        + [
            f'C{n},"{name_of(n)}",{SIZES[n % 3]},{INDUSTRIES[n % 5]},{"TRIAL" if n % 7 == 0 else "ACTIVE"},'
            f"{'PLG' if n % 2 else 'HIGH_TOUCH'},csm{n % 4}@example.com,{'' if n % 9 == 0 else f'2027-0{n % 8 + 1}-15'}"
            for n in numbers
        ]
        + ["gone,Gone Away,SMB,OTHER,CHURNED,PLG,,"],
        "members": ["client,external_id,created_at"]
        + [f"C{n},m{m},2024-01-01T00:00:00Z" for n in numbers for m in range(3)],
        "logins": ["client,member,at,duration_minutes"]
        + [f"C{n},m{m},{ago[m + 1]},12.5" for n in numbers for m in range(n % 4)],
        "cases": ["client,external_id,opened_at,closed_at,sla_due_at"]
        + [f"C{n},k{k},{ago[9]},{ago[2]},{ago[k * 3]}" for n in numbers if n % 5 for k in range(2)]
        + [f"C{n},planned,{(now + timedelta(days=30)).isoformat()},," for n in numbers],
        "campaigns": ["client,external_id,name,kind,assigned,completed,closed_at"]
        + [f"C{n},p,Policies,ATTESTATION,20,{n % 20},{ago[3]}" for n in numbers if n % 6],
        "campaign_responses": ["client,campaign,member,at"] + [f"C{n},p,m0,{ago[4]}" for n in numbers if n % 6],
        "features": ["key,name,category", "core,Core,CORE", "report,Report,REPORTING"],
        "client_features": ["client,feature,enabled,first_used_at"]
        + [f"C{n},core,true,{ago[8]}" for n in numbers]
        + [f"C{n},report,true," for n in numbers],
        "tickets": ["client,external_id,opened_at"]
        + [f"C{n},t{t},{ago[t + 1]}" for n in numbers for t in range(n % 3)],
    }
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


async def load_portfolio(database: Database, folder: Path) -> None:
    """Import the portfolio and calculate it for yesterday and for today."""
    now = datetime.now(UTC)
    write_portfolio(folder, now)
    report = await import_path(database, folder, now=now)
    assert report.exit_code == 0, report
    yesterday = now.date() - timedelta(days=1)
    await record_day(database, yesterday)
    await score_day(database, end_of_day(yesterday), now)
    await score_day(database, now, now)
