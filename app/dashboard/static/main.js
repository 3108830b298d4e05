/** Starts the page: finds the page of the address, loads it, and shows it in the frame. */

import { Frame } from "./frame.js";
import { html, render, useEffect, useErrorBoundary, useState } from "./html.js";
import PortfolioPage from "./pages/portfolio.js";
import { navigate, PageHeading, useLocation, useTitle } from "./router.js";
import { closeMenusOutside, Empty, Failure, Skeleton } from "./ui.js";

const CHARTS = ["charts/chart.js", "charts/charts.css"];
const ALERT = [
  ...["alert-fragments.js", "alerts.css"],
  ...["pages/alerts-row.js", "pages/alert-causes.js", "pages/alert-feedback.js"],
];
// What a page needs beside its module, so that all of it is fetched at once instead of one import after the other.
const CLIENT = [
  ...CHARTS,
  ...ALERT,
  ...["charts/line.js", "charts/bars.js", "client.css", "client-lists.css"],
  ...["activity", "alerts", "recalculation", "usage"].map((part) => `pages/client-${part}.js`),
];
const BENCHMARKS = [...CHARTS, "charts/scale.js", "benchmarks.css", "pages/benchmarks-picker.js"];

const ROUTES = [
  { path: /^\/$/, component: Portfolio },
  { path: /^\/clients\/(?<id>[^/]+)$/, load: () => page("client", CLIENT) },
  { path: /^\/benchmarks$/, load: () => page("benchmarks", BENCHMARKS) },
  { path: /^\/alerts$/, load: () => page("alerts", ["lists.css", ...ALERT, "pages/alerts-held.js"]) },
  { path: /^\/runs$/, load: () => page("runs", ["lists.css", "pages/runs-row.js"]) },
  { path: /^\/sign-in$/, load: () => page("sign-in", []), bare: true },
];

/** Returns the component of a page that is not loaded with the first one, once its styles are there as well. */
async function page(name, needed) {
  const styles = needed.filter((file) => file.endsWith(".css")).map(stylesheet);
  for (const file of needed) if (file.endsWith(".js")) preload(file);
  const [module] = await Promise.all([import(`./pages/${name}.js`), ...styles]);
  return module.default;
}

function preload(name) {
  const { href } = new URL(name, import.meta.url);
  if (document.querySelector(`link[href="${href}"]`) !== null) return;
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = href;
  document.head.append(link);
}

const stylesheets = new Map();

/** Returns what is fulfilled once the style sheet is there, the same for everybody who asks while it loads. */
function stylesheet(name) {
  const { href } = new URL(name, import.meta.url);
  if (!stylesheets.has(href)) stylesheets.set(href, loadStylesheet(href));
  return stylesheets.get(href);
}

function loadStylesheet(href) {
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.onload = resolve;
    link.onerror = () => {
      link.remove();
      stylesheets.delete(href);
      reject(new Error(`The style of the page could not be loaded.`));
    };
    document.head.append(link);
  });
}

function App() {
  const { path } = useLocation();
  const route = ROUTES.find((candidate) => candidate.path.test(path));
  const parameters = { ...route?.path.exec(path).groups };
  if (route === undefined) return html`<${Frame}><${NotFound} /><//>`;
  const content = html`<${Loaded} key=${path} route=${route} parameters=${parameters} />`;
  return route.bare ? content : html`<${Frame}>${content}<//>`;
}

/** The portfolio, which fetches the page that a click on a card leads to while nothing else is to be done. */
function Portfolio() {
  return html`<${PortfolioPage} whenShown=${fetchClientPage} />`;
}

function fetchClientPage() {
  const later = globalThis.requestIdleCallback ?? setTimeout;
  // What could not be fetched is asked for, and missed, by the click.
  later(() => page("client", CLIENT).catch(() => {}));
}

/** Shows a page once its module is there, and what to do when it does not come or fails. */
function Loaded({ route, parameters }) {
  const [loaded, setLoaded] = useState(() => ({ component: route.component, error: null }));
  const [attempt, setAttempt] = useState(0);
  const [fault, forget] = useErrorBoundary((error) => console.error(error));
  useEffect(() => {
    if (loaded.component !== undefined) return undefined;
    let wanted = true;
    setLoaded({ component: undefined, error: null });
    route.load().then(
      (component) => wanted && setLoaded({ component, error: null }),
      (error) => wanted && setLoaded({ component: undefined, error }),
    );
    return () => {
      wanted = false;
    };
  }, [route, attempt]);
  if (fault !== undefined) {
    return html`<${Failure} title="This page has stopped" error=${fault} retry=${forget} />`;
  }
  if (loaded.error !== null) {
    const retry = () => (attempt < 1 ? setAttempt(attempt + 1) : location.reload());
    return html`<${Failure} title="This page could not be loaded" error=${loaded.error} retry=${retry} />`;
  }
  if (loaded.component === undefined) return html`<div class="page"><${Skeleton} lines=${8} /></div>`;
  return html`<${loaded.component} ...${parameters} />`;
}

function NotFound() {
  useTitle("Page not found");
  return html`
    <div class="page">
      <${PageHeading}>There is no such page<//>
      <${Empty} title="The address may be old or mistyped.">
        <button class="button" type="button" onClick=${() => navigate("/")}>Go to the portfolio</button>
      <//>
    </div>
  `;
}

// With OIDC the way back from signing in ends at the portfolio; what the person wanted to see is remembered here.
const wanted = sessionStorage.getItem("wanted");
if (wanted !== null && location.pathname !== "/sign-in") {
  sessionStorage.removeItem("wanted");
  if (location.pathname === "/" && location.search === "") navigate(wanted, { replace: true });
}

closeMenusOutside();
const root = document.getElementById("app");
// What the template shows until now.
root.replaceChildren();
render(html`<${App} />`, root);
