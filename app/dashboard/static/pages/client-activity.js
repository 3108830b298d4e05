/** What happened at a client lately, newest first, with more on demand. */

import { ask, gql } from "../api.js";
import { Ago } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Button, Failure, Icon } from "../ui.js";

/** What a page of activity selects. */
export const ACTIVITY = gql`
  fragment Activity on ActivityConnection {
    edges {
      cursor
      node {
        occurredAt
        kind
        description
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
`;

const MORE = gql`
  query MoreActivity($id: ID!, $after: String!) {
    client(id: $id) {
      id
      recentActivity(first: 20, after: $after) {
        ...Activity
      }
    }
  }
  ${ACTIVITY}
`;

const ICONS = {
  ALERTS_CHANGED: "bell",
  ALERT_RAISED: "alert",
  CAMPAIGN_CLOSED: "calendar",
  CASE_CLOSED: "check",
  CASE_OPENED: "right",
  FEATURE_FIRST_USED: "check",
  LIGHT_CHANGED: "pulse",
  LOGINS: "clock",
  METRICS_REVISED: "calendar",
  SCORE_CHANGED: "pulse",
};

/** The list; pages beyond the first are kept until the first one changes. */
export function Activity({ client }) {
  const first = client.recentActivity;
  const [more, setMore] = useState({ pages: [], loading: false, error: null });
  const request = useRef(null);
  useEffect(() => {
    setMore({ pages: [], loading: false, error: null });
    return () => request.current?.abort();
  }, [first]);

  const pages = [first, ...more.pages];
  const { hasNextPage, endCursor } = pages.at(-1).pageInfo;

  async function load() {
    const controller = new AbortController();
    request.current = controller;
    setMore({ pages: more.pages, loading: true, error: null });
    try {
      const data = await ask(MORE, { id: client.id, after: endCursor }, { signal: controller.signal });
      setMore({ pages: [...more.pages, data.client.recentActivity], loading: false, error: null });
    } catch (error) {
      if (error.name !== "AbortError") setMore({ pages: more.pages, loading: false, error });
    }
  }

  const edges = pages.flatMap((page) => page.edges);
  return html`
    <section class="card" aria-labelledby="activity">
      <h2 id="activity">Recent activity</h2>
      ${edges.length === 0
        ? html`<p class="quiet">Nothing has happened yet.</p>`
        : html`<ol class="activity">
            ${edges.map(
              ({ cursor, node }) => html`<li key=${cursor}>
                <span class="activity-sign"><${Icon} name=${ICONS[node.kind]} /></span>
                <span>${node.description}</span>
                <${Ago} class="quiet" at=${node.occurredAt} />
              </li>`,
            )}
          </ol>`}
      ${more.error && html`<${Failure} title="More could not be loaded" error=${more.error} retry=${load} />`}
      ${hasNextPage && !more.error && html`<${Button} busy=${more.loading} onClick=${load}>Show more<//>`}
    </section>
  `;
}
