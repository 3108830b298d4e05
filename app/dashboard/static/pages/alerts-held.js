/** The alerts that are held: how many, why, and for administrators the decision whether people are told of them. */

import { change, gql } from "../api.js";
import { counted } from "../format.js";
import { html, useState } from "../html.js";
import { useSubscription } from "../live.js";
import { Button, Dialog, Icon, notify } from "../ui.js";
import { AlertRow } from "./alerts-row.js";

const DECISION = gql`
  fragment HeldDecision on HeldAlertsResult {
    __typename
    ... on HeldAlerts {
      count
    }
    ... on Error {
      code
      message
    }
  }
`;

const RELEASE = gql`
  mutation ReleaseHeldAlerts {
    releaseHeldAlerts(input: {}) {
      ...HeldDecision
    }
  }
  ${DECISION}
`;

const DISCARD = gql`
  mutation DiscardHeldAlerts {
    discardHeldAlerts(input: {}) {
      ...HeldDecision
    }
  }
  ${DECISION}
`;

const RECALCULATION = gql`
  subscription RecalculationEnds($id: ID!) {
    runProgress(id: $id) {
      id
    }
  }
`;

const DECISIONS = {
  release: {
    document: RELEASE,
    title: (number) => `Tell people of ${counted(number, "alert")}?`,
    words:
      "They are sent on every channel now, as if they had never been held. Clients that are healthy again, and those " +
      "whose alerts are off or snoozed, are left out. This cannot be taken back.",
    button: "Release alerts",
    done: "released",
  },
  discard: {
    document: DISCARD,
    title: (number) => `Discard ${counted(number, "alert")}?`,
    words:
      "They are resolved, and nobody is ever told. They stay in the list below, marked as discarded. Once the feed is " +
      "repaired and all clients are recalculated, what is really wrong raises alerts again.",
    button: "Discard alerts",
    done: "discarded",
  },
};

const RELEASING = "They are being released: people are told of a thousand at a time. There is nothing to decide.";

/**
 * The section of held alerts. `held` is the first page of them, `alerts` those that are loaded, `more` what loads
 * further ones, and `decided(count)` is called after a decision. A recalculation that is under way holds all that it
 * raises until it has ended: while there is one, nothing can be said of them, and `again` is called at its end. Very
 * many that are released leave in batches, and each calls for a fresh list: until then nothing of them is `undecided`.
 */
export function Held({ held, alerts, undecided, recalculation, viewer, decided, again, more }) {
  const [asking, setAsking] = useState(null);
  const words = () => {
    if (recalculation) return html`<${Underway} id=${recalculation.id} again=${again} />`;
    return undecided ? html`<${Storm} viewer=${viewer} />` : html`<p>${RELEASING}</p>`;
  };
  return html`
    <section class="card held" aria-labelledby="held-alerts">
      <${Icon} name=${undecided && !recalculation ? "alert" : "clock"} />
      <div class="held-words">
        <h2 id="held-alerts">${counted(held.totalCount, "alert")} held</h2>
        ${words()}
      </div>
      ${!recalculation &&
      undecided &&
      viewer?.role === "PLATFORM_ADMIN" &&
      html`
        <div class="held-buttons">
          <${Button} onClick=${() => setAsking("release")}>Release<//>
          <${Button} onClick=${() => setAsking("discard")}>Discard<//>
        </div>
      `}
      <details class="held-alerts">
        <summary><${Icon} name="right" />Which alerts</summary>
        <ul class="rows">
          ${alerts.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} />`)}
        </ul>
        ${more}
      </details>
      <${Decide} asking=${asking} number=${held.totalCount} close=${() => setAsking(null)} decided=${decided} />
    </section>
  `;
}

function Storm({ viewer }) {
  return html`
    <p>
      One recalculation would have reported more clients at once than is likely. A feed has probably broken, and nobody
      has been told.${" "}
      ${viewer?.role === "PLATFORM_ADMIN"
        ? "Look at what the alerts have in common, then release them if they are right, or discard them."
        : "An administrator decides whether they are right."}
    </p>
  `;
}

function Underway({ id, again }) {
  useSubscription(RECALCULATION, { id }, { complete: again });
  return html`
    <p>
      All clients are being recalculated. When that has ended people are told of what it found, unless there is so much
      that a feed has probably broken.
    </p>
  `;
}

/** Asks whether it is meant, since messages that went out cannot be called back, nor can a discarded one be sent. */
function Decide({ asking, number, close, decided }) {
  const [state, setState] = useState({ busy: false, error: null });
  const decision = DECISIONS[asking];

  function leave() {
    setState({ busy: false, error: null });
    close();
  }

  async function decide() {
    setState({ busy: true, error: null });
    try {
      const result = await change(decision.document);
      leave();
      notify(words(result.count, decision), { title: "Held alerts" });
      decided();
    } catch (error) {
      setState({ busy: false, error });
    }
  }

  return html`
    <${Dialog} title=${decision?.title(number)} open=${asking !== null} onClose=${leave}>
      ${decision &&
      html`
        <p class="dialog-words">${decision.words}</p>
        ${state.error && html`<p class="change-error" role="alert">${state.error.message}</p>`}
        <div class="dialog-buttons">
          <${Button} kind="primary" busy=${state.busy} onClick=${decide}>${decision.button}<//>
          <${Button} onClick=${leave}>Cancel<//>
        </div>
      `}
    <//>
  `;
}

function words(number, { done }) {
  if (number === 0) return "Somebody else has decided about them already.";
  return `${counted(number, "alert")} ${number === 1 ? "was" : "were"} ${done}.`;
}
