/** One run: what it does, where it stands, and what went wrong. */

import { Ago, count, counted, label } from "../format.js";
import { classes, html } from "../html.js";
import { Link } from "../router.js";
import { Icon, Progress } from "../ui.js";

// The API lists so many failures of a run.
const LISTED_FAILURES = 100;

/** Returns whether a run has yet to end. */
export function isUnfinished(run) {
  return run.status === "QUEUED" || run.status === "RUNNING";
}

/** A row of the list of runs. */
export function RunRow({ run }) {
  return html`
    <li class="run-row">
      <${State} run=${run} />
      <div class="run-words">
        <h2 class="row-title">${label(run.kind)}</h2>
        <p class="quiet">
          <${Ago} at=${run.requestedAt} />, by <span class="run-by">${run.requestedBy}</span>
        </p>
      </div>
      <div class="run-outcome">
        ${isUnfinished(run)
          ? html`<${Progress} name=${label(run.kind)} done=${run.done + run.failed} total=${run.total} />`
          : html`<p class="quiet">${outcome(run)}</p>`}
      </div>
      ${run.reason && html`<p class="run-reason">${run.reason}</p>`}
      ${run.failed > 0 && html`<${Failures} run=${run} />`}
    </li>
  `;
}

function State({ run }) {
  const [icon, words, tone] = stateOf(run);
  return html`
    <span class=${`run-state tone-${tone}`}>
      <${Icon} name=${icon} class=${run.status === "RUNNING" && "is-turning"} />${words}
    </span>
  `;
}

function stateOf({ status, failed }) {
  if (status === "QUEUED") return ["clock", "Waiting", "none"];
  if (status === "RUNNING") return ["refresh", "Running", "none"];
  if (status === "FAILED") return ["close", "Failed", "red"];
  return failed > 0 ? ["alert", "With errors", "amber"] : ["check", "Finished", "green"];
}

/** Returns what a run came to: "144 of 144 in 3 s". */
function outcome({ done, total, startedAt, finishedAt }) {
  const pieces = total === null ? "" : `${count(done)} of ${count(total)}`;
  if (startedAt === null || finishedAt === null) return pieces;
  const time = duration((new Date(finishedAt) - new Date(startedAt)) / 1000);
  return pieces === "" ? `After ${time}` : `${pieces} in ${time}`;
}

/** Returns a length of time in its two largest units. */
function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function Failures({ run }) {
  // An import counts rows, of which the API lists none.
  const words = run.kind === "IMPORT" ? `${counted(run.failed, "row")} rejected` : `${counted(run.failed, "client")} failed`;
  if (run.errors.length === 0) return html`<p class="run-failures">${words}</p>`;
  return html`
    <details class="run-failures">
      <summary><${Icon} name="right" />${words}</summary>
      <ul>
        ${run.errors.map(
          ({ client, message }) => html`
            <li key=${client.id}><${Link} href=${`/clients/${client.id}`}>${client.name}<//><span>${message}</span></li>
          `,
        )}
      </ul>
      ${run.failed > run.errors.length && html`<p class="quiet">These are the first ${LISTED_FAILURES}.</p>`}
    </details>
  `;
}
