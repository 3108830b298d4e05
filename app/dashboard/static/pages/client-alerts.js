/** The alerts of one client: whether they come at all, a pause, and those that somebody should look at. */

import { CLIENT_ALERT } from "../alert-fragments.js";
import { change, gql } from "../api.js";
import { Ago, count, dateTime } from "../format.js";
import { html, useEffect, useId, useRef, useState } from "../html.js";
import { Button, Icon, Switch } from "../ui.js";
import { acknowledgedBy, NoteForm, Outcome, whatHappened, WhyAndWorth } from "./alerts-row.js";

/** The alerts of the client `$id` that are not resolved; its document includes them as `...ClientAlerts`. */
export const ALERTS = gql`
  fragment AlertsOfClient on AlertConnection {
    totalCount
    edges {
      node {
        ...ClientAlert
      }
    }
  }
  fragment ClientAlerts on Query {
    open: alerts(filter: { clientId: $id, status: [OPEN], held: false }, first: 20) {
      ...AlertsOfClient
    }
    held: alerts(filter: { clientId: $id, status: [OPEN], held: true }, first: 20) {
      ...AlertsOfClient
    }
    acknowledged: alerts(filter: { clientId: $id, status: [ACKNOWLEDGED] }, first: 20) {
      ...AlertsOfClient
    }
  }
  ${CLIENT_ALERT}
`;

const SWITCH = gql`
  mutation SwitchAlerts($clientId: ID!, $enabled: Boolean!) {
    setClientAlerts(input: { clientId: $clientId, enabled: $enabled }) {
      __typename
      ... on Client {
        id
        alertsEnabled
      }
      ... on Error {
        code
        message
      }
    }
  }
`;

const SNOOZE = gql`
  mutation Snooze($clientId: ID!, $until: DateTime) {
    snoozeClientAlerts(input: { clientId: $clientId, until: $until }) {
      __typename
      ... on Client {
        id
        alertsSnoozedUntil
      }
      ... on Error {
        code
        message
      }
    }
  }
`;

const ACKNOWLEDGE = gql`
  mutation AcknowledgeClientAlert($id: ID!, $note: String) {
    acknowledgeAlert(input: { id: $id, note: $note }) {
      __typename
      ... on Alert {
        ...ClientAlert
      }
      ... on Error {
        code
        message
      }
    }
  }
  ${CLIENT_ALERT}
`;

const DAY_MS = 86_400_000;
const LONGEST_SNOOZE_DAYS = 365;

/** The section with the switch, the snooze and the alerts that are not resolved. */
export function Alerts({ client, lists, viewer, again }) {
  const { pending, error, carryOut } = useChange();
  const set = (enabled) => carryOut("switch", SWITCH, { clientId: client.id, enabled });
  const snooze = (until) => carryOut("snooze", SNOOZE, { clientId: client.id, until });
  const listed = nodesOf(lists.open);
  const open = listed.filter((alert) => alert.status === "OPEN");
  // What was acknowledged here stays in the answer's list of open ones until the page asks again.
  const done = listed.filter((alert) => alert.status !== "OPEN");
  const held = nodesOf(lists.held);
  const acknowledged = [...done, ...nodesOf(lists.acknowledged)];
  const openCount = lists.open.totalCount - done.length;
  const acknowledgedCount = lists.acknowledged.totalCount + done.length;
  // What was acknowledged just now is shown where it went.
  const [latest, setLatest] = useState(null);
  function onDone(id) {
    setLatest(id);
    // There is room for one that was not listed.
    if (listed.length < lists.open.totalCount) again();
  }
  return html`
    <section class="card client-alerts" aria-labelledby="alerts">
      <h2 id="alerts">Alerts${openCount > 0 && html` <span class="badge">${count(openCount)} open</span>`}</h2>
      ${open.length + held.length > 0 &&
      html`<ul class="client-alert-list">
        ${open.map(
          (alert) =>
            html`
              <${OpenAlert} key=${alert.id} client=${client} alert=${alert} viewer=${viewer} again=${again} onDone=${onDone} />
            `,
        )}
        ${held.map((alert) => html`<${OtherAlert} key=${alert.id} client=${client} alert=${alert} />`)}
      </ul>`}
      <${Newest} listed=${open.length} total=${openCount} />
      ${acknowledged.length > 0 &&
      html`<details class="client-acknowledged" open=${latest !== null}>
        <summary>${count(acknowledgedCount)} acknowledged</summary>
        <ul class="client-alert-list">
          ${acknowledged.map(
            (alert) =>
              html`<${OtherAlert} key=${alert.id} client=${client} alert=${alert} isLatest=${alert.id === latest} />`,
          )}
        </ul>
        <${Newest} listed=${acknowledged.length} total=${acknowledgedCount} />
      </details>`}
      <${Switch} checked=${client.alertsEnabled} busy=${pending === "switch"} onChange=${set}>${wordsOf(client)}<//>
      ${client.alertsEnabled && html`<${Snooze} until=${client.alertsSnoozedUntil} busy=${pending === "snooze"} snooze=${snooze} />`}
      ${error && html`<p class="change-error" role="alert">${error.message}</p>`}
    </section>
  `;
}

function nodesOf(connection) {
  return connection.edges.map((edge) => edge.node);
}

/** Says that not all are listed, where that is so. */
function Newest({ listed, total }) {
  return listed < total && html`<p class="quiet client-alert-rest">The newest ${count(listed)} are listed.</p>`;
}

function wordsOf({ alertsEnabled, engagementModel }) {
  if (alertsEnabled) return "You will be notified when the score drops";
  return engagementModel === "PLG" ? "Alerts off: product-led account" : "Alerts off: nobody is notified when the score drops";
}

/** A pause of the alerts: a day, a week or until a date of the person's calendar; and its early end. */
function Snooze({ until, busy, snooze }) {
  const [chosen, setChosen] = useState("");
  const id = useId();
  const place = useRef(null);
  const now = useNow(until);
  const snoozed = until !== null && Date.parse(until) > now;
  const before = useRef(snoozed);
  useEffect(() => {
    // The button that was pressed is gone; what can be done now takes the focus, but never from elsewhere.
    if (before.current !== snoozed && document.activeElement === document.body) place.current.focus();
    before.current = snoozed;
  }, [snoozed]);
  if (snoozed) {
    return html`
      <div class="snooze" ref=${place} tabindex="-1">
        <p role="status"><${Icon} name="clock" /> Snoozed until <time datetime=${until}>${dateTime(until)}</time></p>
        <${Button} busy=${busy} onClick=${() => snooze(null)}>End the snooze<//>
      </div>
    `;
  }
  const inDays = (days) => new Date(Date.now() + days * DAY_MS).toISOString();
  function snoozeUntil(event) {
    event.preventDefault();
    // Midnight of the reader's own time zone, since that is what a date on a calendar means to a person.
    snooze(new Date(`${chosen}T00:00:00`).toISOString());
  }
  return html`
    <form class="snooze" ref=${place} tabindex="-1" onSubmit=${snoozeUntil}>
      <p class="snooze-name" id="${id}-name">Snooze for</p>
      <div class="snooze-choices" role="group" aria-labelledby="${id}-name">
        <${Button} busy=${busy} onClick=${() => snooze(inDays(1))}>1 day<//>
        <${Button} busy=${busy} onClick=${() => snooze(inDays(7))}>1 week<//>
      </div>
      <div class="snooze-date">
        <label for=${id}>or until</label>
        <input
          id=${id}
          type="date"
          required
          min=${localDate(1)}
          max=${localDate(LONGEST_SNOOZE_DAYS)}
          value=${chosen}
          onInput=${(event) => setChosen(event.currentTarget.value)}
        />
        <${Button} type="submit" busy=${busy} disabled=${chosen === ""}>Snooze<//>
      </div>
    </form>
  `;
}

/** An alert that nobody looks after, with a button that asks for a note and acknowledges. */
function OpenAlert({ client, alert, viewer, again, onDone }) {
  const [writing, setWriting] = useState(false);
  const place = useRef(null);
  async function acknowledge(_alert, note) {
    const own = note.trim() || null;
    acknowledgedBy(viewer, own, await change(ACKNOWLEDGE, { id: alert.id, note: own }), client);
    onDone(alert.id);
  }
  function cancel() {
    setWriting(false);
    place.current.querySelector("button[aria-expanded]").focus();
  }
  return html`
    <li class="client-alert is-open" ref=${place}>
      <${WhatHappened} client=${client} alert=${alert} />
      <${WhyAndWorth} alert=${alert} clientName=${client.name} />
      <${Button} aria-expanded=${String(writing)} onClick=${() => setWriting(!writing)}>Acknowledge<//>
      ${writing && html`<${NoteForm} alert=${alert} acknowledge=${acknowledge} cancel=${cancel} again=${again} />`}
    </li>
  `;
}

/**
 * An alert that asks nothing of anybody: acknowledged, or held. The latest that was acknowledged takes the focus, since
 * the form that led to it is gone.
 */
function OtherAlert({ client, alert, isLatest = false }) {
  const place = useRef(null);
  useEffect(() => {
    if (isLatest) place.current.focus();
  }, [isLatest]);
  return html`
    <li class="client-alert" ref=${place} tabindex="-1">
      <${WhatHappened} client=${client} alert=${alert} />
      <${WhyAndWorth} alert=${alert} clientName=${client.name} />
    </li>
  `;
}

function WhatHappened({ client, alert }) {
  return html`
    <p>${whatHappened({ message: alert.message, client })}</p>
    <p class="quiet client-alert-when"><${Ago} at=${alert.raisedAt} /></p>
    <${Outcome} alert=${alert} />
  `;
}

/** Returns which change is under way, what went wrong with the last one, and `carryOut`, which says whether it worked. */
function useChange() {
  const [state, setState] = useState({ pending: null, error: null });
  async function carryOut(name, document, variables) {
    setState({ pending: name, error: null });
    try {
      await change(document, variables);
      setState({ pending: null, error: null });
      return true;
    } catch (error) {
      setState({ pending: null, error });
      return false;
    }
  }
  return { ...state, carryOut };
}

/** Returns the time, and renders again when `until` has come. */
function useNow(until) {
  const [, wake] = useState(0);
  useEffect(() => {
    const left = until === null ? 0 : Date.parse(until) - Date.now();
    // Timers cannot be set further ahead than 24 days.
    if (left <= 0 || left > 24 * DAY_MS) return undefined;
    const timer = setTimeout(() => wake((number) => number + 1), left + 1);
    return () => clearTimeout(timer);
  }, [until]);
  return Date.now();
}

/** Returns the reader's own date so many days from now, as a date field wants it. */
function localDate(days) {
  const at = new Date();
  at.setDate(at.getDate() + days);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
