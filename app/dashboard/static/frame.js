/** What surrounds every page: the navigation, who is signed in, the state of the live connection, and new alerts. */

import { FRAME, gql } from "./api.js";
import { label } from "./format.js";
import { classes, html, useEffect, useState } from "./html.js";
import { useConnection, useSubscription } from "./live.js";
import { Link, useLocation } from "./router.js";
import { Icon, notify, Notices } from "./ui.js";

const ALERT_RAISED = gql`
  subscription AlertRaised {
    alertRaised {
      id
      kind
      kinds
      status
      message
      scoreBefore
      scoreAfter
      raisedAt
      acknowledgedAt
      acknowledgedBy
      note
      resolvedAt
      client {
        id
        name
        owner
        health {
          score
          trafficLight
        }
      }
    }
  }
`;

export { FRAME };

const PAGES = [
  { path: "/", name: "Portfolio" },
  { path: "/benchmarks", name: "Benchmarks" },
  { path: "/alerts", name: "Alerts" },
  { path: "/runs", name: "Runs", role: "PLATFORM_ADMIN" },
];

let shown = { viewer: null, openAlerts: null };
const watchers = new Set();
const alertListeners = new Set();

/** Hands the frame's part of a page's data over; returns the viewer, null until it is known. */
export function useFrame(data) {
  useEffect(() => {
    if (data?.viewer) show({ viewer: data.viewer, openAlerts: data.openAlerts.totalCount });
  }, [data?.viewer, data?.openAlerts]);
  return data?.viewer ?? shown.viewer;
}

/** Changes the number of open alerts in the navigation, as when one was acknowledged here. */
export function addOpenAlerts(difference) {
  if (shown.openAlerts !== null) show({ ...shown, openAlerts: Math.max(0, shown.openAlerts + difference) });
}

/** Calls `next(alert)` for each alert that is raised, and `resync()` when some may have been missed. */
export function useRaisedAlerts(next, resync) {
  useEffect(() => {
    const listener = { next, resync };
    alertListeners.add(listener);
    return () => alertListeners.delete(listener);
  });
}

/** The page with everything around it. */
export function Frame({ children }) {
  const { path } = useLocation();
  const [{ viewer, openAlerts }, setState] = useState(shown);
  useEffect(() => {
    const update = () => setState(shown);
    watchers.add(update);
    update();
    return () => watchers.delete(update);
  }, []);
  useSubscription(viewer === null ? null : ALERT_RAISED, {}, {
    next({ alertRaised: alert }) {
      addOpenAlerts(1);
      // The list of alerts shows it by itself.
      if (path !== "/alerts") notify(alert.message, { title: alert.client.name, href: `/clients/${alert.client.id}` });
      for (const listener of alertListeners) listener.next?.(alert);
    },
    resync() {
      for (const listener of alertListeners) listener.resync?.();
    },
  });
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <div class="top-inner">
        <${Link} class="brand" href="/"><${Icon} name="pulse" /><span>Client Health</span><//>
        <nav class="pages" aria-label="Pages">
          ${PAGES.filter(({ role }) => role === undefined || role === viewer?.role).map(
            (page) => html`
              <${Link}
                key=${page.path}
                href=${page.path}
                class="page-link"
                aria-current=${isCurrent(page.path, path) ? "page" : undefined}
              >
                ${page.name}
                ${page.path === "/alerts" && openAlerts > 0 && html`<${OpenAlerts} count=${openAlerts} />`}
              <//>
            `,
          )}
        </nav>
        <div class="top-end">
          <${Connection} />
          ${viewer && html`<${Account} viewer=${viewer} />`}
        </div>
      </div>
    </header>
    <main id="main" tabindex="-1">${children}</main>
    <${Notices} />
  `;
}

function OpenAlerts({ count }) {
  return html`<span class="badge">${count > 999 ? "999+" : count}<span class="hidden"> open</span></span>`;
}

/** Says so when the live connection is gone; while all is well it is silent. */
function Connection() {
  const state = useConnection();
  return html`
    <span class=${classes("connection", state === "offline" && "is-offline")} role="status">
      ${state === "offline" && html`<${Icon} name="offline" />Offline, reconnecting`}
    </span>
  `;
}

function Account({ viewer }) {
  const [state, setState] = useState("");
  async function signOut() {
    setState("leaving");
    try {
      const response = await fetch("/session", { method: "DELETE" });
      if (!response.ok && response.status !== 401) throw new Error(`The server answered ${response.status}.`);
      sessionStorage.clear();
      location.assign("/sign-in");
    } catch (error) {
      setState("");
      notify(`You are still signed in. ${error.message}`, { kind: "error", title: "Signing out failed" });
    }
  }
  return html`
    <details class="menu account">
      <summary aria-label=${`Account of ${viewer.subject}`}><span class="avatar">${viewer.subject[0]}</span></summary>
      <div class="menu-panel menu-panel-end">
        <p class="account-name">${viewer.subject}</p>
        <p class="quiet">${label(viewer.role)}</p>
        <button class="button" type="button" disabled=${state === "leaving"} onClick=${signOut}>Sign out</button>
      </div>
    </details>
  `;
}

function isCurrent(page, path) {
  return page === "/" ? path === "/" || path.startsWith("/clients/") : path.startsWith(page);
}

function show(state) {
  shown = state;
  for (const update of watchers) update();
}
