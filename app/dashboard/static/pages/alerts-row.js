/** One alert: what happened to whom and when, and what was done about it. */

import { Ago, label, person } from "../format.js";
import { addOpenAlerts, recountSoon } from "../frame.js";
import { classes, html, useEffect, useId, useRef, useState } from "../html.js";
import { Link } from "../router.js";
import { Button, Icon, Light, notify, ScoreCircle } from "../ui.js";
import { Causes } from "./alert-causes.js";
import { Feedback } from "./alert-feedback.js";

// As long as the API takes it.
const LONGEST_NOTE = 2000;

/** A row of the list; `acknowledge(alert, note)` is given for those that may be acknowledged. */
export function AlertRow({ alert, isNew = false, acknowledge, again }) {
  const [writing, setWriting] = useState(false);
  const { client } = alert;
  const button = useRef(null);
  function cancel() {
    setWriting(false);
    button.current?.focus();
  }
  return html`
    <li class=${classes("alert-row", isNew && "is-new")}>
      <${ScoreCircle} score=${client.health?.score} light=${client.health?.trafficLight} />
      <div class="alert-words">
        <h3><${Link} href=${`/clients/${client.id}`}>${client.name}<//></h3>
        <p>${whatHappened(alert)}</p>
        <p class="quiet alert-when">
          <${PresentLight} alert=${alert} />
          <span>
            <${Ago} at=${alert.raisedAt} />${client.owner && html` · <span title=${client.owner}>${person(client.owner)}</span>`}
          </span>
        </p>
        <${Outcome} alert=${alert} />
      </div>
      <${WhyAndWorth} alert=${alert} clientName=${client.name} />
      ${acknowledge &&
      html`
        <div class="alert-action" ref=${(element) => (button.current = element?.querySelector("button") ?? null)}>
          <${Button} aria-expanded=${String(writing)} onClick=${() => setWriting(!writing)}>
            Acknowledge<span class="hidden"> the alert of ${client.name}</span>
          <//>
        </div>
      `}
      ${writing && html`<${NoteForm} alert=${alert} acknowledge=${acknowledge} cancel=${cancel} again=${again} />`}
    </li>
  `;
}

/** Why the score moved, and what people say of the alert. */
export function WhyAndWorth({ alert, clientName }) {
  return html`
    <div class="alert-more">
      <${Causes} alert=${alert} />
      <${Feedback} alert=${alert} clientName=${clientName} />
    </div>
  `;
}

/** The client's light as it is today, which an old alert may have nothing to do with any more. */
function PresentLight({ alert: { status, client } }) {
  const light = client.health?.trafficLight;
  const words = light ? label(light) : "Not scored";
  return html`<${Light} light=${light}>${status === "OPEN" ? words : `${words} today`}<//>`;
}

/** Returns the alert's sentence without the name of the client, which stands above it. */
export function whatHappened({ message, client }) {
  const prefix = `${client.name}: `;
  if (!message.startsWith(prefix)) return message;
  const rest = message.slice(prefix.length);
  return rest[0].toUpperCase() + rest.slice(1);
}

/** What became of an alert: who acknowledged it and what they wrote, how it ended, and why nobody was told of it. */
export function Outcome({ alert }) {
  return html`
    ${alert.held &&
    html`
      <p class="alert-outcome is-untold"><${Icon} name="clock" /><span>Held: nobody has been told of it yet</span></p>
    `}
    ${alert.acknowledgedAt &&
    html`
      <p class="alert-outcome">
        <${Icon} name="check" />
        <span>
          Acknowledged by <span title=${alert.acknowledgedBy}>${person(alert.acknowledgedBy)}</span>${" "}
          <${Ago} at=${alert.acknowledgedAt} />
        </span>
      </p>
      ${alert.note && html`<p class="alert-note">${alert.note}</p>`}
    `}
    ${alert.discardedAt &&
    html`
      <p class="alert-outcome is-untold">
        <${Icon} name="close" />
        <span>Discarded <${Ago} at=${alert.discardedAt} />: a feed had broken, and nobody was told</span>
      </p>
    `}
    ${alert.resolvedAt &&
    !alert.discardedAt &&
    html`
      <p class="alert-outcome">
        <${Icon} name="check" /><span>Resolved <${Ago} at=${alert.resolvedAt} />: healthy again</span>
      </p>
    `}
  `;
}

/**
 * Counts an alert of `client` as looked after by `viewer`, who acknowledged it with `note`; `found` is what it is now.
 *
 * Returns whether it was the viewer. One whom a colleague was ahead of is told so, with the note, which is not kept.
 */
export function acknowledgedBy(viewer, note, found, client) {
  if (found.acknowledgedBy === viewer.subject && found.note === note) {
    addOpenAlerts(-1);
    return true;
  }
  const first = found.acknowledgedBy === viewer.subject ? "You were" : `${person(found.acknowledgedBy)} was`;
  const lost = note === null ? "" : ` Your note was not saved: “${note}”`;
  // An error stays until it is closed, and the note with it.
  notify(`${first} first.${lost}`, {
    kind: note === null ? "info" : "error",
    title: `${client.name} had been acknowledged already`,
  });
  // The number may have been asked for before or after the colleague.
  recountSoon();
  return false;
}

/** Asks for a note and acknowledges with it; `again` reloads what turned out to be out of date. */
export function NoteForm({ alert, acknowledge, cancel, again }) {
  const id = useId();
  const field = useRef(null);
  const [note, setNote] = useState("");
  const [state, setState] = useState({ busy: false, error: null });
  useEffect(() => field.current.focus(), []);

  async function submit(event) {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      await acknowledge(alert, note);
    } catch (error) {
      setState({ busy: false, error });
    }
  }

  return html`
    <form
      class="note-form"
      onSubmit=${submit}
      onKeyDown=${(event) => event.key === "Escape" && cancel()}
    >
      <label for=${id} class="field-name">Note for your colleagues (optional)</label>
      <textarea
        id=${id}
        ref=${field}
        rows="3"
        maxlength=${LONGEST_NOTE}
        placeholder="What is known, or what you do about it"
        value=${note}
        onInput=${(event) => setNote(event.currentTarget.value)}
      />
      ${state.error &&
      html`
        <p class="note-error" role="alert">
          ${state.error.message}
          ${["CONFLICT", "NOT_FOUND"].includes(state.error.code) && html` <${Button} kind="quiet" onClick=${again}>Reload the list<//>`}
        </p>
      `}
      <div class="note-buttons">
        <${Button} kind="primary" type="submit" busy=${state.busy}>Acknowledge alert<//>
        <${Button} onClick=${cancel}>Cancel<//>
      </div>
    </form>
  `;
}
