"""What is sent: the JSON of webhooks, and the same as a title and a text for people."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

# Alerts that one digest lists; their number is told in any case.
MAX_LISTED = 100

RAISED, DIGEST, HELD, SAMPLE = "alert.raised", "alert.digest", "alerts.held", "alert.sample"


def page_of(public_url: str, type_name: str, key: int) -> str:
    """Return the id of an object in the API, which is also its place in the dashboard."""
    return f"{public_url}/{type_name.lower()}s/{api_id(type_name, key)}"


def api_id(type_name: str, key: int) -> str:
    """Return the id that the API knows an object by."""
    return base64.urlsafe_b64encode(orjson.dumps([type_name, key])).decode().rstrip("=")


def alert_data(row: Mapping[str, Any], causes: Sequence[Mapping[str, Any]], public_url: str) -> dict[str, Any]:
    """Return what a message says of one alert, from the row of an alert with its client and both scores' judgements."""
    return {
        "id": api_id("Alert", row["id"]),
        "client": {
            "id": api_id("Client", row["client_id"]),
            "externalId": row["external_id"],
            "name": row["name"],
            "owner": row["owner"],
            "engagementModel": row["engagement_model"],
        },
        "score": {"before": row["score_before"], "after": row["score_after"]},
        "light": {"before": row["light_before"], "after": row["light_after"]},
        "risk": {"before": row["risk_before"], "after": row["risk_after"]},
        "kinds": list(row["kinds"]),
        "causes": [dict(cause) for cause in causes],
        "message": row["message"],
        "raisedAt": row["raised_at"],
        "link": page_of(public_url, "Client", row["client_id"]),
    }


def digest_data(owner: str | None, count: int, listed: Sequence[Mapping[str, Any]], public_url: str) -> dict[str, Any]:
    """Return what a digest says: how many alerts its owner's clients have, and those listed, the first 100 of them."""
    whose = f" of {owner}" if owner else ""
    return {
        "owner": owner,
        "count": count,
        "alerts": list(listed),
        "message": f"{_number(count, 'alert')} for clients{whose}.",
        "link": f"{public_url}/alerts",
    }


def held_data(run_id: int, details: Mapping[str, Any], public_url: str) -> dict[str, Any]:
    """Return what a message about held alerts says."""
    alerts, clients = details["alerts"], details["clients"]
    return {
        "run": api_id("Run", run_id),
        "alerts": alerts,
        "clients": clients,
        "message": (
            f"{_number(alerts, 'alert')} for {_number(clients, 'scored client')} are held back: more than a feed that "
            "works would cause. Look at the data, then release or discard them."
        ),
        "link": f"{public_url}/alerts",
    }


def sample_data(now: datetime, public_url: str) -> dict[str, Any]:
    """Return an alert that nobody has raised, of a client that nobody has."""
    row = {
        "id": 1,
        "client_id": 1,
        "external_id": "sample",
        "name": "Sample client",
        "owner": None,
        "engagement_model": "HIGH_TOUCH",
        "score_before": 82,
        "score_after": 57,
        "light_before": "GREEN",
        "light_after": "RED",
        "risk_before": "LOW",
        "risk_after": "HIGH",
        "kinds": ["RISK_HIGH", "LIGHT_WORSENED", "SCORE_DROP"],
        "message": "This is a sample. Sample client: its score fell by 25 points (score 82 before, 57 now).",
        "raised_at": now,
    }
    cause = {
        "component": "CASE_RESOLUTION",
        "pointsBefore": 25.0,
        "pointsAfter": 0.0,
        "change": -25.0,
        "explanation": "0 of 4 cases closed in the last 30 days were closed on time, 4 of 4 before.",
    }
    return alert_data(row, [cause], public_url)


def body_of(kind: str, timestamp: datetime, data: Mapping[str, Any]) -> bytes:
    """Return the JSON of a message; its timestamp is the moment of what it tells of."""
    return orjson.dumps({"type": kind, "timestamp": timestamp, "data": data}, option=orjson.OPT_UTC_Z)


def title_and_text(body: bytes) -> tuple[str, str]:
    """Return the message as people read it: a title of one line, and lines of plain text."""
    message = orjson.loads(body)
    data = message["data"]
    match message["type"]:
        case "alert.digest":
            title = data["message"].removesuffix(".")
            lines = [line for alert in data["alerts"] for line in (*_alert_lines(alert), "")]
            more = data["count"] - len(data["alerts"])
            lines += [f"And {more} more.", ""] if more else []
            return title, "\n".join([*lines, "All alerts:", data["link"]])
        case "alerts.held":
            return f"Alerts are held back: {data['alerts']}", f"{data['message']}\n\n{data['link']}"
        case _:
            name, score = data["client"]["name"], data["score"]
            title = " ".join(f"{name}: score {score['before']} to {score['after']}".split())
            return title, "\n".join(_alert_lines(data))


def _alert_lines(alert: Mapping[str, Any]) -> list[str]:
    lines = [alert["message"]]
    for cause in alert["causes"]:
        lines.append(f"{cause['change']:+.1f} points: {cause['explanation']}")
    return [*lines, alert["link"]]


def _number(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
