"""The enums of the API: those of the rules and models, each value with its description."""

from enum import StrEnum

import strawberry

from app.activity.rules import ActivityKind
from app.alerts.rules import AlertKind, AlertStatus, AlertVerdict
from app.auth.tokens import Role
from app.benchmarks.rules import BenchmarkMetric
from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.clients.service import SortField
from app.delivery.models import AttemptOutcome, ChannelKind, ChannelMode, DeliveryKind, DeliveryStatus
from app.events.rules import EventType, UnmappedReason
from app.feeds.rules import FeedKind, FeedStatus
from app.health.rules import Component, HealthTrend, RiskLevel, TrafficLight
from app.runs.models import RunKind, RunStatus
from app.usage.models import FeatureCategory
from app.usage.rules import MetricType


class OrderDirection(StrEnum):
    """The direction of an order; missing values come last in both."""

    ASC = "ASC"
    DESC = "DESC"


# Where the API's name differs from the rules': that of the contract wins.
_NAMES = {Component: "HealthComponentKey", SortField: "ClientOrderField", BenchmarkMetric: "BenchmarkMetricKey"}


def _publish(enum: type[StrEnum], description: str, **values: str) -> None:
    """Make the enum a type of the API; each of its values must be described."""
    strawberry.enum(enum, name=_NAMES.get(enum, enum.__name__), description=description)
    definition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values.pop(value.name)
    if values:
        raise TypeError(f"{enum.__name__} has no {', '.join(values)}")


_publish(
    TrafficLight,
    "The colour of a score; a client without an overall score has none.",
    GREEN="The score is 80 or more.",
    AMBER="The score is from 60 to 79.",
    RED="The score is below 60.",
)
_publish(
    HealthTrend,
    "Where a score is heading, against the most recent score of an earlier day.",
    IMPROVING="The score rose by more than 5 points.",
    STABLE="The score changed by at most 5 points, or there is no earlier one.",
    DECLINING="The score fell by more than 5 points.",
)
_publish(
    RiskLevel,
    "How likely a client is to be lost.",
    LOW="The score is 70 or more and not declining.",
    MEDIUM="The score is below 70, or declining.",
    HIGH="The score is below 40, or below 60 and declining.",
)
_publish(
    Component,
    "The five parts of a health score.",
    LOGIN="The share of members who were active.",
    CASE_RESOLUTION="The share of cases that were closed on time.",
    CAMPAIGN_COMPLETION="How complete the campaigns were when they closed.",
    FEATURE_ADOPTION="The share of enabled features that have been used.",
    TICKET_VOLUME="How few support tickets were opened, against what is usual.",
)
_publish(
    ClientSize,
    "How large a client is.",
    ENTERPRISE="A large organisation.",
    MIDMARKET="An organisation of medium size.",
    SMB="A small or medium-sized business.",
)
_publish(
    Industry,
    "What a client does.",
    FINANCIAL="Banking, insurance and other financial services.",
    HEALTHCARE="Health care and life sciences.",
    TECHNOLOGY="Software, hardware and telecommunications.",
    MANUFACTURING="Making and moving goods.",
    OTHER="Anything else, and what is not known.",
)
_publish(
    ClientStatus,
    "Where a client stands commercially.",
    ACTIVE="The client pays for the platform.",
    TRIAL="The client is trying the platform out.",
    CHURNED="The client has left, and its history is kept.",
)
_publish(
    EngagementModel,
    "Whether somebody looks after a client personally.",
    HIGH_TOUCH="A customer success manager looks after the client personally.",
    PLG="The account is product-led and serves itself.",
)
_publish(
    SortField,
    "What the portfolio is ordered by.",
    SCORE="The overall score.",
    NAME="The name, whatever the case of its letters.",
    TREND="The change of the score against the previous one.",
    LAST_ACTIVITY="The moment of the latest activity.",
    RENEWAL_DATE="The date of the next renewal.",
)
_publish(
    OrderDirection,
    "The direction of an order; clients without the value come last in both.",
    ASC="From the lowest to the highest.",
    DESC="From the highest to the lowest.",
)
_publish(
    FeatureCategory,
    "The part of the platform that a feature belongs to.",
    CORE="What every client works with.",
    ADVANCED="What experienced clients work with.",
    INTEGRATION="Connections to other systems.",
    REPORTING="Reports and exports.",
)
_publish(
    MetricType,
    "What is recorded for each client once a day.",
    ACTIVE_USERS="How many members logged in that day.",
    LOGINS="How often members logged in that day.",
    SESSION_MINUTES="How many minutes that day's sessions lasted together.",
    CASES_CREATED="How many cases were opened that day.",
    CASES_RESOLVED="How many cases were closed that day.",
    CASES_RESOLVED_ON_TIME="How many of the cases closed that day met their deadline.",
    CAMPAIGN_RESPONSES="How many responses to campaigns came in that day.",
    CAMPAIGN_COMPLETION_RATE="How complete the campaigns that closed that day were on average, in percent.",
    FEATURE_ADOPTION_RATE="The share of enabled features used by the end of that day, in percent.",
    SUPPORT_TICKETS="How many support tickets were opened that day.",
)
_publish(
    ActivityKind,
    "What happened at a client.",
    ALERTS_CHANGED="Alerts were switched on or off.",
    ALERT_RAISED="An alert was raised.",
    CAMPAIGN_CLOSED="A campaign closed.",
    CASE_CLOSED="A case was closed.",
    CASE_OPENED="A case was opened.",
    FEATURE_FIRST_USED="A feature was used for the first time.",
    LIGHT_CHANGED="The traffic light changed.",
    LOGINS="Members logged in during one day.",
    METRICS_REVISED="Data that came late changed the recorded metrics of a day.",
    SCORE_CHANGED="The health score changed.",
)
_publish(
    BenchmarkMetric,
    "What clients are compared by.",
    ATTESTATION_COMPLETION="How complete attestation campaigns were when they closed, in percent.",
    CASE_RESOLUTION_DAYS="How many days it took on average to close a case; lower is better.",
    WEEKLY_LOGIN_RATE="The share of members who were active in the last 7 days, in percent.",
    FEATURE_ADOPTION="The share of enabled features that have been used, in percent.",
)
_publish(
    RunKind,
    "What a run does.",
    RECALCULATE_ONE="It calculates the health of one client.",
    RECALCULATE_ALL="It calculates the health of all clients.",
    RECORD_METRICS="It records the metrics of one day.",
    SET_ALERTS="It switches the alerts of many clients.",
    IMPORT="It imports files.",
    REPLAY_ALERTS="It counts the alerts that given thresholds would have raised; nothing is raised or sent.",
    ERASE="It erases a client, or a member of one.",
)
_publish(
    EventType,
    "The kinds of messages of Segment's tracking API.",
    IDENTIFY="Who a member is.",
    GROUP="Which client a member belongs to, and what is known of the client.",
    TRACK="What somebody did.",
    PAGE="Which page somebody looked at.",
    SCREEN="Which screen of an app somebody looked at.",
    ALIAS="That a member has a new id.",
)
_publish(
    UnmappedReason,
    "Why no fact became of an event.",
    NOT_MAPPED="Nothing says which fact it is; it counts as activity of its client.",
    NO_CLIENT="Nothing says which client it is of, or no such client is known.",
    UNUSABLE_TRAIT="A trait of that name says nothing that it could; it was left out, and the rest was taken.",
)
_publish(
    FeedKind,
    "The streams of facts that a score lives on.",
    LOGINS="Members who logged in.",
    CASES="Cases that were opened and closed.",
    CAMPAIGNS="Campaigns, and the responses to them.",
    FEATURES="Features that were enabled and used.",
    TICKETS="Support tickets.",
)
_publish(
    FeedStatus,
    "Whether a feed delivers.",
    NEVER="Nothing has been received yet.",
    FRESH="It delivers, or it does not deliver often enough for its silence to mean anything.",
    STALE="It usually delivers, and has been silent for longer than its longest usual gap and a day of grace.",
)
_publish(
    RunStatus,
    "Where a run stands.",
    QUEUED="It is accepted and waits for a worker.",
    RUNNING="A worker is carrying it out.",
    SUCCEEDED="It is finished; single clients may have failed.",
    FAILED="It failed as a whole, for the reason given.",
)
_publish(
    AlertKind,
    "What an alert is about.",
    RISK_HIGH="The risk became high.",
    LIGHT_WORSENED="The traffic light got worse.",
    SCORE_DROP="The score dropped by more points than the setting ALERT_DROP_POINTS says, 5 by default.",
)
_publish(
    AlertStatus,
    "Where an alert stands.",
    OPEN="Nobody has looked at it yet.",
    ACKNOWLEDGED="Somebody looks after it.",
    RESOLVED="The client's light is green again, or the alert was discarded.",
)
_publish(
    AlertVerdict,
    "What a person says of an alert.",
    USEFUL="It was worth knowing.",
    ALREADY_KNOWN="It was known already.",
    WRONG_DATA="The data behind it is wrong.",
)
_publish(
    ChannelKind,
    "How a channel is spoken to.",
    WEBHOOK="By signed requests, as the Standard Webhooks specification says.",
    APPRISE="Through apprise: Slack, Microsoft Teams or e-mail.",
)
_publish(
    ChannelMode,
    "Whether a channel takes every alert by itself.",
    EACH="Each alert is a message.",
    DIGEST="One message a day for each owner tells of all alerts.",
)
_publish(
    DeliveryKind,
    "What a delivery tells of.",
    ALERT="One alert.",
    DIGEST="The alerts of a day, for one owner.",
    HELD="That the alerts of a recalculation are held back.",
)
_publish(
    DeliveryStatus,
    "Where a delivery stands.",
    PENDING="It is due, under way, or tried again later.",
    WAITING="It leaves with the next digest.",
    HELD="It waits for somebody to release or discard its alert.",
    DELIVERED="The receiver has accepted it.",
    FAILED="It was given up.",
    DISCARDED="It was never to be sent.",
)
_publish(
    AttemptOutcome,
    "How an attempt ended.",
    DELIVERED="The receiver accepted the message.",
    REFUSED="The receiver answered something else.",
    UNREACHABLE="There was no answer, or none that is HTTP.",
    BLOCKED="The receiver's host stands for an internal address, and was not connected to.",
)
_publish(
    Role,
    "What a caller may do.",
    CLIENT_SUCCESS="Read everything, switch, snooze, acknowledge and judge alerts, and recalculate one client.",
    PLATFORM_ADMIN="All of that, recalculate all clients, record metrics, replay alerts, and decide about held ones.",
)
