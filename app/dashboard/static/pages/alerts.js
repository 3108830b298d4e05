/** The alerts: open ones first, the newest first, with those that are raised while somebody looks. */

import { LISTED_ALERT } from "../alert-fragments.js";
import { ask, change, gql, onChange } from "../api.js";
import { count, person } from "../format.js";
import { FRAME, useFrame, useRaisedAlerts, useRefetchSoon } from "../frame.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { useConnection } from "../live.js";
import { patched, useQuery } from "../query.js";
import { navigateWith, PageHeading, useLocation, useScrollRestoration, useTitle } from "../router.js";
import { Button, Empty, Failure, notify, Select, Skeleton } from "../ui.js";
import { Held } from "./alerts-held.js";
import { acknowledgedBy, AlertRow } from "./alerts-row.js";

const ALERT_PAGE = gql`
  fragment AlertPage on AlertConnection {
    totalCount
    edges {
      node {
        ...ListedAlert
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
  ${LISTED_ALERT}
`;

const ALERTS = gql`
  query Alerts($open: AlertFilter!, $held: AlertFilter!, $earlier: AlertFilter!) {
    ...Frame
    owners
    open: alerts(filter: $open, first: 30) {
      ...AlertPage
    }
    held: alerts(filter: $held, first: 20) {
      ...AlertPage
    }
    earlier: alerts(filter: $earlier, first: 20) {
      ...AlertPage
    }
    runs(first: 20) {
      edges {
        node {
          id
          kind
          finishedAt
        }
      }
    }
  }
  ${FRAME}
  ${ALERT_PAGE}
`;

const MORE_ALERTS = gql`
  query MoreAlerts($filter: AlertFilter!, $after: String!) {
    alerts(filter: $filter, first: 30, after: $after) {
      ...AlertPage
    }
  }
  ${ALERT_PAGE}
`;

const ACKNOWLEDGE = gql`
  mutation Acknowledge($input: AcknowledgeAlertInput!) {
    acknowledgeAlert(input: $input) {
      __typename
      ... on Alert {
        id
        status
        acknowledgedAt
        acknowledgedBy
        note
      }
      ... on Error {
        code
        message
      }
    }
  }
`;

/** Returns the filters of the lists. A feed that broke is everybody's concern: who sees one owner sees all held ones. */
function filtersOf(owner) {
  return {
    open: { status: ["OPEN"], held: false, owner: owner || null },
    held: { held: true },
    earlier: { status: ["ACKNOWLEDGED", "RESOLVED"], held: false, owner: owner || null },
  };
}

// How long the list waits for the live connection, in milliseconds.
const PATIENCE_MS = 1_000;

/** What was loaded beside the first answer: alerts raised since, and further pages of the lists. */
const nothing = (owner) => ({ owner, raised: [], open: [], held: [], earlier: [] });

export default function AlertsPage() {
  useTitle("Alerts");
  const { search } = useLocation();
  const owner = search.get("owner") ?? "";
  const ready = useReadiness(() => again());
  const { data, error, current, refetch } = useQuery(ready ? ALERTS : null, filtersOf(owner));
  const viewer = useFrame(data);
  const [state, setState] = useState(() => nothing(owner));
  const extraOf = (whole) => (whole.owner === owner ? whole : nothing(owner));
  const extra = extraOf(state);
  const setExtra = (change) => setState((whole) => change(extraOf(whole)));
  useScrollRestoration(data !== undefined);
  useEffect(() => onChange((object) => setState((whole) => patched(whole, object))), []);

  function again() {
    setState(nothing(owner));
    refetch();
  }

  // Alerts that were held come as new ones when they are released, and may be in the lists and the numbers already.
  const mayBeReleased = useRef(false);
  const againSoon = useRefetchSoon(again);
  useRaisedAlerts((alert) => {
    mayBeReleased.current ||= data?.held.totalCount > 0;
    if (mayBeReleased.current) {
      againSoon();
      return;
    }
    if (owner !== "" && alert.client.owner !== owner) return;
    setExtra((before) => ({ ...before, raised: [alert, ...before.raised] }));
  }, again);
  useFreshList(data !== undefined, again);

  function decided() {
    mayBeReleased.current = true;
    again();
  }

  async function loadMore(section) {
    const after = (extra[section].at(-1) ?? data[section]).pageInfo.endCursor;
    const { alerts } = await ask(MORE_ALERTS, { filter: filtersOf(owner)[section], after });
    setExtra((before) => ({ ...before, [section]: [...before[section], alerts] }));
  }

  return html`
    <div class="page">
      <header class="list-head">
        <div>
          <${PageHeading}>Alerts<//>
          <p class="quiet">Raised when a score drops, a light gets worse, or a risk becomes high.</p>
        </div>
        ${data && html`<${OwnerFilter} owners=${data.owners} viewer=${viewer} owner=${owner} />`}
      </header>
      ${error && html`<${Failure} title="The alerts could not be loaded" error=${error} retry=${again} />`}
      ${data &&
      current &&
      html`
        <${Lists}
          data=${data}
          extra=${extra}
          loadMore=${loadMore}
          again=${again}
          decided=${decided}
          viewer=${viewer}
          owner=${owner}
        />
      `}
      ${!error && !current && html`<${Skeleton} lines=${9} class="card list-skeleton" />`}
    </div>
  `;
}

/**
 * Returns whether to ask now: when the live connection stands, so that whatever is raised later comes by itself.
 *
 * What would be raised between an answer and the connection would be missing from both. Where the connection takes
 * its time the page asks without it, and `again` once it stands.
 */
function useReadiness(again) {
  const connection = useConnection();
  const [ready, setReady] = useState(connection === "live");
  const complete = useRef(ready);
  useEffect(() => {
    if (ready) return undefined;
    const timer = setTimeout(() => setReady(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [ready]);
  useEffect(() => {
    if (connection === null) return;
    setReady(true);
    if (connection === "live" && !complete.current) {
      complete.current = true;
      if (ready) again();
    }
  }, [connection]);
  return ready;
}

/** Asks again where the list was kept from an earlier look at this page, since it went on without it. */
function useFreshList(known, again) {
  useEffect(() => {
    if (known) again();
  }, []);
}

function OwnerFilter({ owners, viewer, owner }) {
  const others = owners.filter((one) => one !== viewer?.subject);
  const own = owners.length > others.length ? [[viewer.subject, "My clients"]] : [];
  const options = [["", "All owners"], ...own, ...others.map((one) => [one, person(one)])];
  return html`
    <${Select} name="Owner" value=${owner} options=${options} onChange=${(value) => navigateWith({ owner: value || null })} />
  `;
}

function Lists({ data, extra, loadMore, again, decided, viewer, owner }) {
  const heading = useRef(null);
  const firstOpen = data.open.edges.concat(...extra.open.map((page) => page.edges)).map((edge) => edge.node);
  const unique = new Map([...extra.raised, ...firstOpen].map((alert) => [alert.id, alert]));
  const listed = unique.size;
  const earlierPages = [data.earlier, ...extra.earlier];
  for (const { node } of earlierPages.flatMap((page) => page.edges)) {
    if (!unique.has(node.id)) unique.set(node.id, node);
  }
  const newestFirst = [...unique.values()].sort((one, other) => other.raisedAt.localeCompare(one.raisedAt));
  const open = newestFirst.filter((alert) => alert.status === "OPEN");
  const earlier = newestFirst.filter((alert) => alert.status !== "OPEN");
  // What the server counted, with what was raised since, without what was acknowledged here.
  const counted = new Set(firstOpen.map((alert) => alert.id));
  const raisedSince = extra.raised.filter((alert) => !counted.has(alert.id));
  const openCount = data.open.totalCount + raisedSince.length - (listed - open.length);

  async function acknowledge(alert, note) {
    const own = note.trim() || null;
    const found = await change(ACKNOWLEDGE, { input: { id: alert.id, note: own } });
    if (acknowledgedBy(viewer, own, found, alert.client)) {
      notify("You find it below, among those that are looked after.", { title: `${alert.client.name} acknowledged` });
    }
    // The row that had the focus is gone: the next thing to do begins with the list.
    heading.current?.focus();
  }

  const held = [data.held, ...extra.held];
  const heldAlerts = held.flatMap((page) => page.edges).map((edge) => edge.node);
  const undecided = heldAlerts.some((alert) => !alert.releasing);
  const decidedHere = useRef(false);
  useEffect(() => {
    // The buttons that were pressed are gone.
    if (!undecided && decidedHere.current) heading.current.focus();
    decidedHere.current &&= undecided;
  }, [undecided]);
  function decide() {
    decidedHere.current = true;
    decided();
  }

  const newer = new Set(extra.raised.map((alert) => alert.id));
  return html`
    ${heldAlerts.length > 0 &&
    html`
      <${Held}
        held=${data.held}
        alerts=${heldAlerts}
        undecided=${undecided}
        recalculation=${data.runs.edges.map((edge) => edge.node).find(isRecalculation)}
        viewer=${viewer}
        decided=${decide}
        again=${again}
        more=${html`<${More} page=${held.at(-1)} load=${() => loadMore("held")} noun="held alerts" />`}
      />
    `}
    <section class="list-section" aria-labelledby="open-alerts">
      <h2 id="open-alerts" tabindex="-1" ref=${heading}>Open <span class="quiet">${count(openCount)}</span></h2>
      ${open.length === 0 && html`<${NoneOpen} owner=${owner} />`}
      ${open.length > 0 &&
      html`
        <ul class="card rows">
          ${open.map(
            (alert) => html`
              <${AlertRow} key=${alert.id} alert=${alert} isNew=${newer.has(alert.id)} acknowledge=${acknowledge} again=${again} />
            `,
          )}
        </ul>
      `}
      <${More} page=${extra.open.at(-1) ?? data.open} load=${() => loadMore("open")} noun="open alerts" />
    </section>
    ${earlier.length > 0 &&
    html`
      <section class="list-section" aria-labelledby="earlier-alerts">
        <h2 id="earlier-alerts">Acknowledged and resolved</h2>
        <ul class="card rows">
          ${earlier.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} />`)}
        </ul>
        <${More} page=${earlierPages.at(-1)} load=${() => loadMore("earlier")} noun="earlier alerts" />
      </section>
    `}
  `;
}

function isRecalculation(run) {
  return run.kind === "RECALCULATE_ALL" && run.finishedAt === null;
}

function NoneOpen({ owner }) {
  return html`
    <div class="card">
      <${Empty} title=${owner === "" ? "No alert is open." : `No alert is open for the clients of ${person(owner)}.`}>
        <p>New ones appear here by themselves, as soon as they are raised.</p>
      <//>
    </div>
  `;
}

/** A button for the next page, which says what went wrong when it does not come. */
function More({ page, load, noun }) {
  const [state, setState] = useState({ busy: false, error: null });
  if (!page.pageInfo.hasNextPage) return null;
  async function more() {
    setState({ busy: true, error: null });
    try {
      await load();
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
  }
  if (state.error) return html`<${Failure} title=${`More ${noun} could not be loaded`} error=${state.error} retry=${more} />`;
  return html`<p class="list-more"><${Button} busy=${state.busy} onClick=${more}>Show more ${noun}<//></p>`;
}
