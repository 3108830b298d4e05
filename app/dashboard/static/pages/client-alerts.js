/** The alerts of one client: whether they come at all, a pause, and those that somebody should look at. */

import { change, gql } from "../api.js";
import { Ago, date as day, dateTime, fromNow, label, person } from "../format.js";
import { addOpenAlerts } from "../frame.js";
import { html, useEffect, useId, useRef, useState } from "../html.js";
import { Button, Icon, Switch } from "../ui.js";

/** What is shown of an alert. */
export const ALERT = gql`
  fragment ClientAlert on Alert {
    id
    kind
    status
    message
    scoreBefore
    scoreAfter
    raisedAt
    acknowledgedAt
    acknowledgedBy
    note
  }
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
  ${ALERT}
`;

const DAY_MS = 86_400_000;
const LONGEST_SNOOZE_DAYS = 365;
const LONGEST_NOTE = 2000;

/** The section with the switch, the snooze and the alerts that are not resolved. */
export function Alerts({ client, alerts }) {
  const { pending, error, carryOut } = useChange();
  const set = (enabled) => carryOut("switch", SWITCH, { clientId: client.id, enabled });
  const snooze = (until) => carryOut("snooze", SNOOZE, { clientId: client.id, until });
  const open = alerts.filter((alert) => alert.status === "OPEN");
  const acknowledged = alerts.filter((alert) => alert.status === "ACKNOWLEDGED");
  return html`
    <section class="card client-alerts" aria-labelledby="alerts">
      <h2 id="alerts">Alerts${open.length > 0 && html` <span class="badge">${open.length} open</span>`}</h2>
      ${open.length + acknowledged.length > 0 &&
      html`<ul class="alert-list">
        ${[...open, ...acknowledged].map((alert) => html`<${AlertItem} key=${alert.id} alert=${alert} />`)}
      </ul>`}
      <${Switch} checked=${client.alertsEnabled} busy=${pending === "switch"} onChange=${set}>${wordsOf(client)}<//>
      ${client.alertsEnabled && html`<${Snooze} until=${client.alertsSnoozedUntil} busy=${pending === "snooze"} snooze=${snooze} />`}
      ${error && html`<p class="change-error" role="alert">${error.message}</p>`}
    </section>
  `;
}

function wordsOf({ alertsEnabled, engagementModel }) {
  if (alertsEnabled) return "You will be notified when the score drops";
  return engagementModel === "PLG" ? "Alerts off: product-led account" : "Alerts off: nobody is notified when the score drops";
}

/** A pause of the alerts: a day, a week or until a date of the person's calendar; and its early end. */
function Snooze({ until, busy, snooze }) {
  const [chosen, setChosen] = useState("");
  const id = useId();
  const now = useNow(until);
  if (until !== null && Date.parse(until) > now) {
    return html`
      <div class="snooze" role="status">
        <p><${Icon} name="clock" /> Snoozed until <time datetime=${until}>${dateTime(until)}</time>, ${fromNow(until)}</p>
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
    <form class="snooze" onSubmit=${snoozeUntil}>
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

function AlertItem({ alert }) {
  const done = alert.status === "ACKNOWLEDGED";
  return html`
    <li class=${done ? "alert is-acknowledged" : "alert"}>
      <p class="alert-head">
        <${Icon} name=${done ? "check" : "alert"} />
        <strong>${done ? "Acknowledged" : label(alert.kind)}</strong>
        <${Ago} class="quiet" at=${alert.raisedAt} />
      </p>
      <p>${alert.message}</p>
      ${done
        ? html`<p class="quiet">
              By ${person(alert.acknowledgedBy)}, <time datetime=${alert.acknowledgedAt}>${day(alert.acknowledgedAt)}</time>
            </p>
            ${alert.note && html`<blockquote>${alert.note}</blockquote>`}`
        : html`<${Acknowledge} alert=${alert} />`}
    </li>
  `;
}

/** A button that asks for a note before it acknowledges. */
function Acknowledge({ alert }) {
  const [asking, setAsking] = useState(false);
  const [note, setNote] = useState("");
  const field = useRef(null);
  const opener = useRef(null);
  const { pending, error, carryOut } = useChange();
  const id = useId();
  useEffect(() => {
    if (asking) field.current.focus();
  }, [asking]);

  async function acknowledge(event) {
    event.preventDefault();
    if (await carryOut("acknowledge", ACKNOWLEDGE, { id: alert.id, note: note.trim() || null })) addOpenAlerts(-1);
  }
  function cancel() {
    setAsking(false);
    // The button comes back with the next render.
    requestAnimationFrame(() => opener.current?.querySelector("button")?.focus());
  }
  if (!asking) return html`<div ref=${opener}><${Button} onClick=${() => setAsking(true)}>Acknowledge<//></div>`;
  return html`
    <form class="acknowledge" onSubmit=${acknowledge} onKeyDown=${(event) => event.key === "Escape" && cancel()}>
      <label for=${id}>What is known or done about it (optional)</label>
      <textarea
        id=${id}
        ref=${field}
        rows="3"
        maxlength=${LONGEST_NOTE}
        value=${note}
        onInput=${(event) => setNote(event.currentTarget.value)}
      />
      ${error && html`<p class="change-error" role="alert">${error.message}</p>`}
      <div class="acknowledge-buttons">
        <${Button} kind="primary" type="submit" busy=${pending !== null}>Acknowledge<//>
        <${Button} kind="quiet" onClick=${cancel}>Cancel<//>
      </div>
    </form>
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
