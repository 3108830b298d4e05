/** One client: how it is, how it got there, what it uses, what happened, and what to do about it. */

import { gql } from "../api.js";
import { LineChart } from "../charts/line.js";
import { Ago, date, daysFromNow, label, number, percent, person } from "../format.js";
import { FRAME, FRAME_ALONE, useFrame, useRaisedAlerts } from "../frame.js";
import { classes, html } from "../html.js";
import { useQuery } from "../query.js";
import { Link, PageHeading, useScrollRestoration, useTitle } from "../router.js";
import { Empty, Failure, Icon, Light, Risk, ScoreCircle, Skeleton, Trend, tone } from "../ui.js";
import { Activity, ACTIVITY } from "./client-activity.js";
import { ALERTS, Alerts } from "./client-alerts.js";
import { Recalculation, useRecalculation } from "./client-recalculation.js";
import { Features, Usage } from "./client-usage.js";

const CLIENT = gql`
  query ClientPage($id: ID!) {
    ...Frame
    client(id: $id) {
      id
      name
      size
      industry
      status
      engagementModel
      owner
      customerSince
      renewalDate
      annualValue
      alertsEnabled
      alertsSnoozedUntil
      lastActivityAt
      health {
        date
        score
        trafficLight
        trend
        trendDelta
        riskLevel
        coverage
        calculatedAt
        components {
          key
          label
          weight
          score
          trafficLight
          measured
          contribution
          stale
          explanation
        }
      }
      healthHistory(days: 90) {
        date
        score
        trafficLight
      }
      usage(days: 30) {
        daily {
          date
          logins
          casesCreated
          casesResolved
          campaignResponses
        }
        summary {
          totalLogins
          uniqueUsers
          avgSessionMinutes
          peakDay
        }
      }
      featureAdoption {
        enabledCount
        usedCount
        adoptionRate
      }
      features {
        key
        name
        category
        enabled
        adopted
        firstUsedAt
        lastUsedAt
      }
      recentActivity(first: 8) {
        ...Activity
      }
    }
    ...ClientAlerts
  }
  ${FRAME}
  ${ACTIVITY}
  ${ALERTS}
`;

// What a client needs of the weight to have a score.
const NEEDED_COVERAGE = 50;
const BANDS = [
  { from: 80, to: 100, name: "tone-green", label: "Healthy" },
  { from: 60, to: 80, name: "tone-amber", label: "At risk" },
  { from: 0, to: 60, name: "tone-red", label: "Critical" },
];
// What an id that nobody was given, and one that no client has, are answered with.
const UNKNOWN = new Set(["NOT_FOUND", "INVALID_INPUT"]);

/** The page of the client with this id. */
export default function ClientPage({ id }) {
  const { data, error, loading, refetch } = useQuery(CLIENT, { id });
  const viewer = useFrame(data);
  useRaisedAlerts((alert) => alert.client.id === id && refetch(), refetch);
  const client = data?.client;
  const recalculation = useRecalculation(client, { refetch, loading });
  const unknown = client === null || UNKNOWN.has(error?.code);
  useTitle(unknown ? "Client not found" : (client?.name ?? "Client"));
  useScrollRestoration(data !== undefined);

  if (unknown) return html`<${NotFound} />`;
  if (client === undefined) {
    return html`
      <div class="page client-page">
        <${PageHeading} class=${error ? undefined : "hidden"}>Client<//>
        ${error
          ? html`<${Failure} title="The client could not be loaded" error=${error} retry=${refetch} />`
          : html`<${Placeholder} />`}
      </div>
    `;
  }
  return html`
    <div class="page client-page" key=${id}>
      <${Heading} client=${client} recalculation=${recalculation} />
      ${error && html`<${Failure} title="What you see may be out of date" error=${error} retry=${refetch} />`}
      <${Health} client=${client} />
      <div class="client-columns">
        <div class="client-side">
          <${Alerts} client=${client} lists=${data} viewer=${viewer} again=${refetch} />
          <${Account} client=${client} />
        </div>
        <div class="client-main">
          ${client.health && html`<${Components} health=${client.health} />`}
          <${Usage} usage=${client.usage} />
          <${Features} features=${client.features} adoption=${client.featureAdoption} />
        </div>
        <div class="client-last"><${Activity} client=${client} /></div>
      </div>
    </div>
  `;
}

function Heading({ client, recalculation }) {
  const peers = new URLSearchParams({ client: client.id });
  if (client.size) peers.set("size", client.size.toLowerCase());
  peers.set("industry", client.industry.toLowerCase());
  return html`
    <div class="client-heading">
      <div>
        <${Link} class="back" href="/"><${Icon} name="right" />Portfolio<//>
        <${PageHeading}>${client.name}<//>
        <p class="quiet">
          ${[client.size, client.industry, client.engagementModel].filter(Boolean).map(label).join(" · ")}
          ${client.status !== "ACTIVE" && html` <span class="tag">${label(client.status)}</span>`}
        </p>
      </div>
      <div class="client-buttons">
        <${Link} class="button" href=${`/benchmarks?${peers}`}>Compare with peers<//>
        ${client.status !== "CHURNED" && html`<${Recalculation} ...${recalculation} />`}
      </div>
    </div>
  `;
}

/** The score of today and of the days before it. */
function Health({ client }) {
  const { health, healthHistory } = client;
  const scored = healthHistory.some((point) => point.score !== null);
  return html`
    <section class="card health" aria-label="Health">
      ${health === null ? html`<${NeverCalculated} client=${client} />` : html`<${Score} health=${health} />`}
      <div class="health-history">
        ${scored
          ? html`<${LineChart}
              title="Health score, last 90 days"
              valueName="Score"
              bands=${BANDS}
              points=${healthHistory.map((point) => ({
                date: point.date,
                value: point.score,
                note: point.trafficLight ? label(point.trafficLight) : "Not scored",
              }))}
            />`
          : html`<${Empty} title="No score in the last 90 days">
              <p>The line begins with the first day on which at least half of the score's weight can be measured.</p>
            <//>`}
      </div>
    </section>
  `;
}

function Score({ health }) {
  const { score, trafficLight: light, trend, trendDelta, riskLevel, coverage } = health;
  return html`
    <div class="health-now">
      <${ScoreCircle} score=${score} light=${light} large />
      <div class="health-words">
        <p class="health-light"><${Light} light=${light} /></p>
        ${score !== null &&
        html`<p class="health-facts"><${Trend} trend=${trend} delta=${trendDelta} /> <${Risk} level=${riskLevel} /></p>`}
        <p>
          ${score === null
            ? `${percent(coverage)} of the score's weight could be measured, and a score takes at least ${percent(NEEDED_COVERAGE)}. Without it the client counts as neither healthy nor critical.`
            : coverage === 100
              ? "All of the score's weight was measured."
              : `${percent(coverage)} of the score's weight was measured.`}
        </p>
        <p class="quiet">For ${date(health.date)}, calculated <${Ago} at=${health.calculatedAt} />.</p>
      </div>
    </div>
  `;
}

function NeverCalculated({ client }) {
  return html`
    <div class="health-now">
      <${ScoreCircle} score=${null} light=${null} large />
      <div class="health-words">
        <p class="health-light"><${Light} light=${null} /></p>
        <p>
          ${client.status === "CHURNED"
            ? "The client left before its health was ever calculated."
            : "Its health has not been calculated yet. That happens every night, or now with Recalculate."}
        </p>
      </div>
    </div>
  `;
}

/** The parts of the score, each with what it adds and the sentence that explains it. */
function Components({ health }) {
  return html`
    <section class="card" aria-labelledby="components">
      <h2 id="components">What makes the score</h2>
      <ul class="parts">
        ${health.components.map(
          (component) => html`<${Component} key=${component.key} component=${component} scored=${health.score !== null} />`,
        )}
      </ul>
    </section>
  `;
}

function Component({ component, scored }) {
  const { score, measured, trafficLight, contribution, stale } = component;
  return html`
    <li class=${classes(`part tone-${measured ? tone(trafficLight) : "none"}`, stale && "is-kept")}>
      <p class="part-head">
        <span class="part-name">
          ${component.label} <span class="quiet">weight ${percent(component.weight)}</span>
          ${stale && html` <span class="tag">Feed silent</span>`}
        </span>
        ${measured
          ? html`<${Light} light=${trafficLight}>
              ${score}<span class="hidden"> of 100, ${label(trafficLight)}</span>
            <//>`
          : html`<span class="quiet">${score === null ? "Not measured" : `Not measured, counts as ${score}`}</span>`}
      </p>
      <div class="part-track" aria-hidden="true">
        <div class="part-fill" style=${{ inlineSize: `${score ?? 0}%` }} />
      </div>
      <p>
        ${component.explanation}
        ${scored && contribution !== null && html` <span class="quiet">Adds ${number(contribution)} points.</span>`}
      </p>
    </li>
  `;
}

/** What is known about the account. */
function Account({ client }) {
  const facts = [
    ["Owner", client.owner && html`<a href=${`mailto:${client.owner}`}>${person(client.owner)}</a>`],
    ["Renewal", client.renewalDate && `${date(client.renewalDate)}, ${daysFromNow(client.renewalDate)}`],
    ["Annual value", client.annualValue && number(Number(client.annualValue))],
    ["Client since", client.customerSince && date(client.customerSince)],
    ["Last activity", client.lastActivityAt && html`<${Ago} at=${client.lastActivityAt} />`],
  ];
  return html`
    <section class="card" aria-labelledby="account">
      <h2 id="account">Account</h2>
      <dl class="facts">
        ${facts.map(
          ([name, value]) => html`<div key=${name}>
            <dt>${name}</dt>
            <dd>${value || html`<span class="quiet">Not known</span>`}</dd>
          </div>`,
        )}
      </dl>
    </section>
  `;
}

function NotFound() {
  // The answer to an unknown id brings nothing along.
  useFrame(useQuery(FRAME_ALONE).data);
  return html`
    <div class="page client-page">
      <${PageHeading}>There is no such client<//>
      <p>The address may be mistyped, or come from another installation. Search for the client by its name instead.</p>
      <p><${Link} class="button" href="/">Go to the portfolio<//></p>
    </div>
  `;
}

function Placeholder() {
  return html`
    <${Skeleton} lines=${2} />
    <div class="card"><${Skeleton} lines=${7} /></div>
    <div class="client-columns">
      <div class="client-side"><div class="card"><${Skeleton} lines=${4} /></div></div>
      <div class="client-main"><div class="card"><${Skeleton} lines=${8} /></div></div>
    </div>
  `;
}
