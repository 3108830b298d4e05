/** The runs, for administrators: what ran, how far it is, what went wrong, and a new calculation of all clients. */

import { change, gql } from "../api.js";
import { count, label } from "../format.js";
import { FRAME, useFrame, useRaisedAlerts } from "../frame.js";
import { html, useEffect, useState } from "../html.js";
import { useSubscription } from "../live.js";
import { outdate, usePages } from "../query.js";
import { Link, PageHeading, useScrollRestoration, useTitle } from "../router.js";
import { Button, Empty, Failure, notify, Skeleton } from "../ui.js";
import { isUnfinished, RunRow } from "./runs-row.js";

const RUN = gql`
  fragment RunRow on Run {
    id
    kind
    status
    total
    done
    failed
    requestedBy
    requestedAt
    startedAt
    finishedAt
    reason
    errors {
      message
      client {
        id
        name
      }
    }
  }
`;

const RUNS = gql`
  query Runs {
    ...Frame
    runs(first: 20) {
      edges {
        node {
          ...RunRow
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
  ${FRAME}
  ${RUN}
`;

const MORE_RUNS = gql`
  query MoreRuns($after: String!) {
    runs(first: 50, after: $after) {
      edges {
        node {
          ...RunRow
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
  ${RUN}
`;

const RECALCULATE_ALL = gql`
  mutation RecalculateAll {
    recalculateAllHealth {
      __typename
      ... on Run {
        ...RunRow
      }
      ... on Error {
        code
        message
      }
    }
  }
  ${RUN}
`;

const RUN_PROGRESS = gql`
  subscription RunProgress($id: ID!) {
    runProgress(id: $id) {
      ...RunRow
    }
  }
  ${RUN}
`;

const runsOf = (data) => data.runs;

// Each takes one of the six connections that a browser has; the others are watched when these have ended.
const WATCHED = 3;

export default function RunsPage() {
  useTitle("Runs");
  const { first, items, hasMore, loadMore, loadingMore, error, moreError, loading, refetch } = usePages(
    RUNS,
    {},
    runsOf,
    MORE_RUNS,
  );
  const viewer = useFrame(first);
  // What was heard of single runs since the list was answered, by their ids.
  const [heard, setHeard] = useState(() => new Map());
  useScrollRestoration(first !== undefined);
  useFreshList(first !== undefined, refetch);
  useRaisedAlerts(undefined, refetch);

  const runs = newestFirst(items, heard);
  function hear(run) {
    setHeard((before) => new Map(before).set(run.id, run));
    // What a run changes shows on other pages, which are asked for again on the way back.
    outdate();
  }

  if (viewer !== null && viewer.role !== "PLATFORM_ADMIN") return html`<${ForAdministrators} />`;
  return html`
    <div class="page">
      <header class="list-head">
        <div>
          <${PageHeading}>Runs<//>
          <p class="quiet">Metrics and scores are brought up to date every night by themselves.</p>
        </div>
        ${first && html`<${RecalculateAll} running=${runs.some(isRecalculation)} hear=${hear} />`}
      </header>
      ${error && html`<${Failure} title="The runs could not be loaded" error=${error} retry=${refetch} />`}
      ${first === undefined && loading && html`<${Skeleton} lines=${9} class="card list-skeleton" />`}
      ${first && runs.length === 0 && html`<div class="card"><${Empty} title="Nothing has run yet." /></div>`}
      ${runs.filter(isUnfinished).slice(0, WATCHED).map(({ id }) => html`<${Watch} key=${id} id=${id} hear=${hear} />`)}
      ${runs.length > 0 && html`<ul class="card rows">${runs.map((run) => html`<${RunRow} key=${run.id} run=${run} />`)}</ul>`}
      ${moreError && html`<${Failure} title="More runs could not be loaded" error=${moreError} retry=${loadMore} />`}
      ${hasMore &&
      !moreError &&
      html`<p class="list-more"><${Button} busy=${loadingMore} onClick=${loadMore}>Show more runs<//></p>`}
    </div>
  `;
}

/** Hears of one run until it ends, and tells how that was. */
function Watch({ id, hear }) {
  useSubscription(RUN_PROGRESS, { id }, {
    next: ({ runProgress }) => {
      hear(runProgress);
      if (!isUnfinished(runProgress)) tellEnd(runProgress);
    },
  });
  return null;
}

/** Asks again where the list was kept from an earlier look at this page: others may have started runs since. */
function useFreshList(known, refetch) {
  useEffect(() => {
    if (known) refetch();
  }, []);
}

const isRecalculation = (run) => isUnfinished(run) && run.kind === "RECALCULATE_ALL";

/** Returns the runs of the list, each as it was heard of last, with those that were started since. */
function newestFirst(items, heard) {
  const listed = new Set(items.map((run) => run.id));
  // The subscription's last word about a run is that it has ended; the list may have been read before or after.
  const latest = items.map((run) => (isUnfinished(run) ? (heard.get(run.id) ?? run) : run));
  const started = [...heard.values()].filter((run) => !listed.has(run.id));
  return [...started, ...latest].sort((one, other) => other.requestedAt.localeCompare(one.requestedAt));
}

function tellEnd(run) {
  if (run.status === "FAILED") {
    notify(run.reason ?? "No reason is known.", { kind: "error", title: `${label(run.kind)} failed` });
    return;
  }
  const failed = run.failed > 0 ? `, ${count(run.failed)} failed` : "";
  notify(`${count(run.done)} of ${count(run.total)} done${failed}.`, { title: `${label(run.kind)} finished` });
}

function RecalculateAll({ running, hear }) {
  const [busy, setBusy] = useState(false);
  async function start() {
    setBusy(true);
    try {
      hear(await change(RECALCULATE_ALL));
    } catch (error) {
      notify(error.message, { kind: "error", title: "The recalculation could not be started" });
    }
    setBusy(false);
  }
  return html`
    <${Button} kind="primary" icon="refresh" busy=${busy || running} onClick=${start}>
      ${running ? "Recalculating all" : "Recalculate all"}
    <//>
  `;
}

function ForAdministrators() {
  return html`
    <div class="page">
      <${PageHeading}>Runs<//>
      <${Empty} title="This page is for administrators.">
        <p>A single client is recalculated on its own page, by anybody.</p>
        <p><${Link} class="button" href="/">Go to the portfolio<//></p>
      <//>
    </div>
  `;
}
