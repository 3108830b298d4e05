/** What surrounds every page: the navigation, who is signed in, the state of the live connection, and new alerts. */

import { ask, FRAME, gql, onChange } from "./api.js";
import { label } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { outdate } from "./query.js";
import { Link, useLocation } from "./router.js";
import { Icon, notify, Notices } from "./ui.js";

export { FRAME };

/** What the frame shows, where nothing else has to be asked. */
export const FRAME_ALONE = gql`
  query FrameAlone {
    ...Frame
  }
  ${FRAME}
`;

const PAGES = [
  { path: "/", name: "Portfolio" },
  { path: "/benchmarks", name: "Benchmarks" },
  { path: "/alerts", name: "Alerts" },
  { path: "/runs", name: "Runs", role: "PLATFORM_ADMIN" },
];

// How long after a failure the live connection's module is asked for again, in milliseconds.
const RETRY_MS = 4_000;
// A calculation of all clients may raise hundreds of alerts, one after the other: what they change is asked for once in
// this time, in milliseconds.
const SOON_MS = 1_000;

let shown = { viewer: null, openAlerts: null };
const watchers = new Set();
const alertListeners = new Set();

/** Hands the frame's part of a page's data over; returns the viewer, null until it is known. */
export function useFrame(data) {
  useEffect(() => {
    if (data?.viewer) showFrame(data);
  }, [data?.viewer, data?.openAlerts]);
  return data?.viewer ?? shown.viewer;
}

/** Changes the number of open alerts in the navigation, as when one was acknowledged here. */
export function addOpenAlerts(difference) {
  if (shown.openAlerts !== null) show({ ...shown, openAlerts: Math.max(0, shown.openAlerts + difference) });
}

/** Passes on an alert that the live connection brings: a new one, or one that was held and did not count until now. */
export function raised(alert) {
  outdate();
  // An answer that was read since the alert was written has counted it already.
  recountSoon();
  for (const { next } of alertListeners) next?.(alert);
}

/** Has everything asked for again that may have changed unheard: by the page, or else what the frame shows of it. */
export function resync() {
  outdate();
  if (alertListeners.size === 0) recount();
  for (const listener of alertListeners) listener.resync?.();
}

/** Has everything asked for again if an alert was raised after the page was answered and before it was live. */
export async function catchUp() {
  const before = shown.openAlerts;
  // The page of alerts sees to that by itself.
  if (before === null || location.pathname === "/alerts") return;
  await recount();
  if (shown.openAlerts !== before) resync();
}

let recounting = 0;

/** Asks for the number of open alerts a second later, once for all that happens in that second. */
export function recountSoon() {
  recounting ||= setTimeout(() => {
    recounting = 0;
    recount();
  }, SOON_MS);
}

/** Asks for what the frame shows. */
async function recount() {
  // An answer that was under way while something was changed here may not know of it.
  const settled = onChange(recountSoon);
  try {
    showFrame(await ask(FRAME_ALONE));
  } catch (error) {
    // Should the connection be lost once more, this is done again after it.
    console.info(error.message);
  } finally {
    settled();
  }
}

/** Calls `next(alert)` for each alert that is raised, and `resync()` when some may have been missed. */
export function useRaisedAlerts(next, resync) {
  useEffect(() => {
    const listener = { next, resync };
    alertListeners.add(listener);
    return () => alertListeners.delete(listener);
  });
}

/** Calls `refetch` when alerts were raised or may have been missed, once a second at most. */
export function useRefetchOnAlerts(refetch) {
  useRaisedAlerts(useRefetchSoon(refetch), refetch);
}

/** Returns a function that calls `refetch` a second later, once for all its calls in that second. */
export function useRefetchSoon(refetch) {
  const latest = useRef(refetch);
  latest.current = refetch;
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    timer.current ||= setTimeout(() => {
      timer.current = 0;
      latest.current();
    }, SOON_MS);
  };
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
          <${WhenWanted} wanted=${viewer !== null || path === "/alerts"} />
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

/**
 * The live connection, which is loaded and opened once the page has what it asked for; before that on the page of
 * alerts, which asks for its list when nothing that is raised afterwards can be missed.
 */
function WhenWanted({ wanted }) {
  const [Live, setLive] = useState(null);
  useEffect(() => {
    if (!wanted) return undefined;
    let timer = 0;
    function load(late) {
      import("./frame-live.js").then(
        (module) => {
          setLive(() => module.default);
          if (late) resync();
        },
        // The page works without it; what is missing is said where it would be.
        () => {
          setLive(() => NotLive);
          timer = setTimeout(load, RETRY_MS, true);
        },
      );
    }
    load(false);
    return () => clearTimeout(timer);
  }, [wanted]);
  return Live && html`<${Live} />`;
}

function NotLive() {
  return html`<span class="connection is-offline" role="status">No live updates; reload the page</span>`;
}

function Account({ viewer }) {
  const [state, setState] = useState("");
  async function signOut() {
    setState("leaving");
    try {
      const response = await fetch("/session", { method: "DELETE" });
      if (!response.ok && response.status !== 401) throw new Error(`The server answered ${response.status}.`);
      sessionStorage.clear();
      // The browser may keep this page as it is, and would bring it back with all it shows.
      addEventListener("pageshow", () => location.reload());
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

function showFrame({ viewer, openAlerts }) {
  show({ viewer, openAlerts: openAlerts.totalCount });
}

function show(state) {
  shown = state;
  for (const update of watchers) update();
}
