/** Recalculating one client: the button, what the run does meanwhile, and what came of it. */

import { change, gql } from "../api.js";
import { difference, label } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useSubscription } from "../live.js";
import { outdate } from "../query.js";
import { Button } from "../ui.js";

const RUN = gql`
  fragment RunState on Run {
    id
    status
    total
    done
    failed
    reason
    errors {
      message
    }
  }
`;

const RECALCULATE = gql`
  mutation RecalculateClient($clientId: ID!) {
    recalculateHealth(input: { clientId: $clientId }) {
      __typename
      ... on Run {
        ...RunState
      }
      ... on Error {
        code
        message
      }
    }
  }
  ${RUN}
`;

const PROGRESS = gql`
  subscription ClientRunProgress($id: ID!) {
    runProgress(id: $id) {
      ...RunState
    }
  }
  ${RUN}
`;

// Longer than a worker that is alive leaves a run lying.
const PATIENCE_MS = 8_000;

/**
 * Follows a recalculation of the client; returns what `Recalculation` shows.
 *
 * The subscription starts with the run's present state, also when it is over already and after each reconnect, so that
 * no end is missed. Then `refetch` brings the new score, and `loading` says until when.
 */
export function useRecalculation(client, { refetch, loading }) {
  const [run, setRun] = useState(null);
  const [before, setBefore] = useState(null);
  const [error, setError] = useState(null);
  const [sending, setSending] = useState(false);
  const running = run !== null && !isOver(run);

  function follow(state) {
    setRun(state);
    // Other pages show the score, too, and this one does when somebody comes back before the run is over.
    outdate();
    if (isOver(state)) refetch();
  }

  useSubscription(running ? PROGRESS : null, { id: run?.id }, {
    next: (data) => follow(data.runProgress),
    failed(refusal) {
      setRun(null);
      setError(refusal);
      refetch();
    },
  });

  async function start() {
    setSending(true);
    setError(null);
    setRun(null);
    setBefore(client.health);
    try {
      follow(await change(RECALCULATE, { clientId: client.id }));
    } catch (refusal) {
      setError(refusal);
    } finally {
      setSending(false);
    }
  }

  return { start, busy: sending || running, run, error, outcome: { before, after: client?.health ?? null, loading } };
}

/** The button, and beside it in words how far the run is. */
export function Recalculation({ start, busy, run, error, outcome }) {
  const late = useLate(busy && run?.status === "QUEUED");
  const failed = error !== null || (run !== null && isOver(run) && !succeeded(run));
  return html`
    <div class="recalculation">
      <${Button} kind="primary" icon="refresh" busy=${busy} onClick=${start}>
        ${busy ? "Recalculating" : "Recalculate"}
      <//>
      <p class=${failed ? "recalculation-words is-failed" : "recalculation-words"} role="status">
        ${wordsOf({ busy, run, error, outcome, late })}
      </p>
    </div>
  `;
}

function wordsOf({ busy, run, error, outcome, late }) {
  if (error !== null) return error.message;
  if (busy && (run === null || run.status === "QUEUED")) {
    return late
      ? "No worker has taken it up yet. It is carried out as soon as one does, even if you leave this page."
      : "Waiting for its turn";
  }
  if (busy) return run.total ? `Calculating, ${run.done} of ${run.total}` : "Calculating";
  if (run === null) return null;
  if (!succeeded(run)) return `The calculation failed. ${run.reason ?? run.errors[0]?.message ?? "Try again."}`;
  return outcome.loading ? "Loading the new score" : wordsOfOutcome(outcome);
}

/** Returns what became of the score, from the health before and after. */
function wordsOfOutcome({ before, after }) {
  if (after?.calculatedAt === before?.calculatedAt) return "Done, but the new score could not be loaded yet.";
  if (after.score === null) return "Done. There is too little evidence for a score.";
  const words = `Done. The score is ${after.score}, ${label(after.trafficLight).toLowerCase()}`;
  if (before === null || before.score === null) return `${words}.`;
  return after.score === before.score ? `${words}, as before.` : `${words}, ${difference(after.score - before.score)}.`;
}

/** Returns whether `waiting` has been true for longer than one would expect. */
function useLate(waiting) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (!waiting) return undefined;
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [waiting]);
  return late;
}

const isOver = (run) => run.status === "SUCCEEDED" || run.status === "FAILED";
const succeeded = (run) => run.status === "SUCCEEDED" && run.failed === 0;
