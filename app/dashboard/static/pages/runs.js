/** The runs, for administrators: what ran, how far it is, what went wrong, and a new calculation of all clients. */

import { change, gql } from "../api.js";
import { count } from "../format.js";
import { FRAME, useFrame } from "../frame.js";
import { html, useEffect, useState } from "../html.js";
import { useSubscription } from "../live.js";
import { usePages } from "../query.js";
import { navigate, PageHeading, useScrollRestoration, useTitle } from "../router.js";
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

  const runs = newestFirst(items, heard);
  const unfinished = runs.filter(isUnfinished);
  // One connection at a time: the run that was accepted first ends first, and then the next one is watched.
  const watched = unfinished.at(-1) ?? null;
  const hear = (run) => setHeard((before) => new Map(before).set(run.id, run));
  useSubscription(watched === null ? null : RUN_PROGRESS, { id: watched?.id }, {
    next: ({ runProgress }) => hear(runProgress),
    complete: () => {
      setHeard(new Map());
      refetch();
    },
  });

  if (viewer !== null && viewer.role !== "PLATFORM_ADMIN") return html`<${ForAdministrators} />`;
  return html`
    <div class="page">
      <header class="list-head">
        <div>
          <${PageHeading}>Runs<//>
          <p class="quiet">Every day at 01:00 and 02:00 the metrics and the scores are brought up to date by themselves.</p>
        </div>
        ${first && html`<${RecalculateAll} run=${unfinished.find((run) => run.kind === "RECALCULATE_ALL")} hear=${hear} />`}
      </header>
      ${error && html`<${Failure} title="The runs could not be loaded" error=${error} retry=${refetch} />`}
      ${first === undefined && loading && html`<${Skeleton} lines=${9} class="card list-skeleton" />`}
      ${first && runs.length === 0 && html`<div class="card"><${Empty} title="Nothing has run yet." /></div>`}
      ${runs.length > 0 &&
      html`<ul class="card rows">
        ${runs.map((run) => html`<${RunRow} key=${run.id} run=${run} />`)}
      </ul>`}
      ${moreError && html`<${Failure} title="More runs could not be loaded" error=${moreError} retry=${loadMore} />`}
      ${hasMore && !moreError && html`<p class="list-more"><${Button} busy=${loadingMore} onClick=${loadMore}>Show more runs<//></p>`}
    </div>
  `;
}
