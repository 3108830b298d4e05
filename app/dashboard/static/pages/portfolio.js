/** The portfolio: who needs help, what moved, and every client as a card. */

import { Ago, count, counted, label, person, shortDate } from "../format.js";
import { useFrame, useRefetchOnAlerts } from "../frame.js";
import { classes, html, useCallback, useEffect, useRef, useState } from "../html.js";
import { usePages, useSettled } from "../query.js";
import { Link, navigate, navigateWith, PageHeading, useLocation, useScrollRestoration, useTitle } from "../router.js";
import { Button, ChoiceMenu, Empty, Failure, Icon, SearchField, Select, Shape, tone, Trend } from "../ui.js";
import { Cards, CardSkeletons } from "./portfolio-cards.js";
import {
  CHOICES,
  choicesIn,
  DEFAULT_ORDER,
  isFiltered,
  MORE_CLIENTS,
  ORDERS,
  PORTFOLIO,
  variablesOf,
} from "./portfolio-query.js";

const TYPING_MS = 250;

/** `whenShown()` is called once the first clients are there. */
export default function PortfolioPage({ whenShown }) {
  const { search } = useLocation();
  const choices = choicesIn(search);
  const list = usePages(PORTFOLIO, variablesOf(choices), (data) => data.clients, MORE_CLIENTS);
  const data = list.first;
  const viewer = useFrame(data);
  useTitle("");
  useScrollRestoration(list.current);
  useRefetchOnAlerts(list.refetch);
  const shown = data !== undefined;
  useEffect(() => {
    if (shown) whenShown();
  }, [shown]);
  if (data !== undefined && data.summary.total === 0 && !isFiltered(choices)) return html`<${NoClients} />`;
  if (data === undefined && list.error !== null) return html`<${NotLoaded} list=${list} />`;
  return html`
    <div class="page portfolio">
      <div class="portfolio-head">
        <${PageHeading}>Portfolio<//>
        <div class="portfolio-state quiet">
          ${data && html`<${Feeds} feeds=${data.feeds} />`}
          ${data?.summary.calculatedAt && html`<p>Calculated <${Ago} at=${data.summary.calculatedAt} /></p>`}
        </div>
      </div>
      <${Morning} data=${data} choices=${choices} search=${search} />
      ${data?.feeds.some(isStale) && html`<${SilentFeeds} feeds=${data.feeds.filter(isStale)} />`}
      <${Tiles} summary=${data?.summary} light=${choices.light} />
      <div class="portfolio-body">
        <aside class="movers" aria-label="What moved">
          <${Movers}
            title="Fell furthest"
            trend="DECLINING"
            order="trend"
            count=${data?.fallen.total}
            found=${data?.lowestTrends}
            search=${search}
          />
          <${Movers}
            title="Rose most"
            trend="IMPROVING"
            order="trend-desc"
            count=${data?.risen.total}
            found=${data?.highestTrends}
            search=${search}
          />
        </aside>
        <section class="portfolio-list" aria-label="Clients">
          <h2 class="hidden">Clients</h2>
          <${Filters} choices=${choices} owners=${data?.owners ?? []} viewer=${viewer} />
          <${Results} list=${list} choices=${choices} />
        </section>
      </div>
    </div>
  `;
}

// What a feed is called, and the scores that it makes.
const WORDS = {
  LOGINS: ["logins", "Login"],
  CASES: ["cases", "Case"],
  CAMPAIGNS: ["campaigns", "Campaign"],
  FEATURES: ["features", "Feature"],
  TICKETS: ["tickets", "Ticket"],
};

/** Returns whether a feed usually delivers, and has been silent for too long. */
function isStale(feed) {
  return feed.status === "STALE";
}

/** One quiet line, and when each feed delivered for those who want to know. */
function Feeds({ feeds }) {
  if (feeds.every((feed) => feed.status === "NEVER")) return null;
  const stale = feeds.filter(isStale).length;
  return html`
    <details class="menu feeds">
      <summary>
        ${stale === 0 ? "Data: all feeds current" : `Data: ${stale} of ${feeds.length} feeds silent`}
      </summary>
      <dl class="menu-panel">
        ${feeds.map(
          ({ kind, lastReceivedAt }) => html`
            <div key=${kind}>
              <dt>The ${WORDS[kind][0]} feed</dt>
              <dd>${lastReceivedAt ? html`<${Ago} at=${lastReceivedAt} />` : "nothing received yet"}</dd>
            </div>
          `,
        )}
      </dl>
    </details>
  `;
}

/** What silent feeds mean for the scores, a sentence or two for each. */
function SilentFeeds({ feeds }) {
  const today = new Date().toISOString().slice(0, 10);
  return html`
    <ul class="silent-feeds">
      ${feeds.map(({ kind, lastReceivedAt, keptUntil }) => {
        const [feed, scores] = WORDS[kind];
        return html`
          <li key=${kind}>
            The ${feed} feed has been silent since ${shortDate(lastReceivedAt)}.${" "}
            ${keptUntil >= today
              ? `${scores} scores stay as they were until ${shortDate(keptUntil)}.`
              : `${scores} scores are no longer measured.`}
          </li>
        `;
      })}
    </ul>
  `;
}

/** Returns the present address with some choices changed; everything else that was chosen stays. */
function addressWith(search, changes) {
  const changed = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) changed.delete(name);
    else changed.set(name, value);
  }
  return `/?${changed.toString().replaceAll("%2C", ",").replaceAll("%40", "@")}`;
}

/** The day in two sentences, each part of which leads to those clients. */
function Morning({ data, choices, search }) {
  if (data === undefined) return html`<p class="morning"><span class="skeleton-line" /></p>`;
  const { summary, fallen, risen, scopedAlerts } = data;
  const name = choices.q.trim();
  if (name !== "") {
    return html`<p class="morning">${counted(summary.total, "client has", "clients have")} “${name}” in the name.</p>`;
  }
  if (summary.total === 0) return html`<p class="morning">Nobody to look after here.</p>`;
  const to = (changes) => addressWith(search, { light: null, trend: null, sort: null, ...changes });
  const critical =
    summary.red === 0
      ? "No client is critical"
      : html`<${Link} href=${to({ light: "red" })}>${counted(summary.red, "client is", "clients are")} critical<//>`;
  const fell =
    fallen.total === 0
      ? "none fell"
      : html`<${Link} href=${to({ trend: "declining", sort: "trend" })}>${count(fallen.total)} fell<//>`;
  const rose =
    risen.total === 0
      ? "none rose"
      : html`<${Link} href=${to({ trend: "improving", sort: "trend-desc" })}>${count(risen.total)} rose<//>`;
  const open = scopedAlerts.totalCount;
  // Alerts are known by owner only; beside other filters their number would mislead.
  const told = !isFiltered({ ...choices, owner: "", light: [], trend: [] });
  const alertsPage = choices.owner === "" ? "/alerts" : `/alerts?owner=${encodeURIComponent(choices.owner)}`;
  return html`
    <p class="morning">
      ${critical}; ${fell} and ${rose} by more than 5 points.
      ${told && open === 0 && " No alert is open."}
      ${told && open > 0 && html`${" "}<${Link} href=${alertsPage}>${counted(open, "alert is", "alerts are")} open<//>.`}
    </p>
  `;
}

const TILES = [
  { light: null, name: "All clients", field: "total", range: "Active and trial" },
  { light: "GREEN", name: label("GREEN"), field: "green", range: "80 and above" },
  { light: "AMBER", name: label("AMBER"), field: "amber", range: "60 to 79" },
  { light: "RED", name: label("RED"), field: "red", range: "Below 60" },
];

/** The four counts, which choose whom the list shows, and beside them those without a score. */
function Tiles({ summary, light }) {
  const choose = (value) => {
    const pressed = light.length === 1 && light[0] === value;
    navigateWith({ light: pressed || value === null ? null : value.toLowerCase() });
  };
  return html`
    <div class="tiles" role="group" aria-label="Show clients by their light">
      ${TILES.map((tile) => {
        const pressed = tile.light === null ? light.length === 0 : light.includes(tile.light);
        return html`
          <button
            key=${tile.field}
            type="button"
            class=${`tile tone-${tone(tile.light)}`}
            aria-pressed=${String(pressed)}
            onClick=${() => choose(tile.light)}
          >
            <span class="tile-name">${tile.light && html`<${Shape} light=${tile.light} />`}${tile.name}</span>
            <span class="tile-count">${summary ? count(summary[tile.field]) : html`<span class="skeleton-line" />`}</span>
            <span class="tile-range">${tile.range}</span>
          </button>
        `;
      })}
      <p class="tile-none">
        <span class="tile-name"><${Shape} light=${null} />Not scored</span>
        <span class="tile-count">${summary ? count(summary.unscored) : "–"}</span>
        <span class="tile-range">Too little to measure</span>
      </p>
    </div>
  `;
}

function Movers({ title, trend, order, count: all, found, search }) {
  if (all === 0) return null;
  const movers = found?.edges.map(({ node }) => node).filter(({ health }) => health?.trend === trend);
  return html`
    <section class="movers-part">
      <h2>${title}</h2>
      <ul>
        ${movers === undefined
          ? [0, 1, 2].map((line) => html`<li key=${line} class="mover"><span class="skeleton-line" /></li>`)
          : movers.map(
              ({ id, name, health }) => html`
                <li key=${id} class="mover">
                  <${Link} href=${`/clients/${id}`}>${name}<//>
                  <span class="mover-scores quiet">${health.score - health.trendDelta} → ${health.score}</span>
                  <${Trend} trend=${trend} delta=${health.trendDelta} />
                </li>
              `,
            )}
      </ul>
      ${all > movers?.length &&
      html`<${Link}
        class="movers-all"
        href=${addressWith(search, { q: null, light: null, trend: trend.toLowerCase(), sort: order })}
      >
        All ${count(all)}
      <//>`}
    </section>
  `;
}

function Filters({ choices, owners, viewer }) {
  const choose = (name) => (values) => navigateWith({ [name]: values.join(",").toLowerCase() });
  const options = (name) => CHOICES[name].map((value) => [value, label(value)]);
  const known = choices.owner !== "" && !owners.includes(choices.owner) ? [choices.owner, ...owners] : owners;
  const [open, setOpen] = useState(false);
  const chosen = [...["size", "industry", "risk", "trend"].flatMap((name) => choices[name]), choices.owner, choices.alerts];
  const active = chosen.filter((value) => value !== "").length;
  const mine = viewer !== null && owners.includes(viewer.subject) && viewer.subject;
  return html`
    <div class=${classes("filters", open && "is-open")} role="search" aria-label="Clients">
      <${Search} q=${choices.q} />
      <${Button} class="filters-toggle" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
        ${active === 0 ? "Filters" : `Filters (${active})`}<${Icon} name="down" class=${open && "is-turned"} />
      <//>
      <div class="filters-row">
        ${mine &&
        html`<button
          type="button"
          class="chip"
          aria-pressed=${String(choices.owner === mine)}
          onClick=${() => navigateWith({ owner: choices.owner === mine ? null : mine })}
        >
          My clients
        </button>`}
        <${ChoiceMenu} name="Size" options=${options("size")} chosen=${choices.size} onChange=${choose("size")} />
        <${ChoiceMenu} name="Industry" options=${options("industry")} chosen=${choices.industry} onChange=${choose("industry")} />
        <${ChoiceMenu} name="Risk" options=${options("risk")} chosen=${choices.risk} onChange=${choose("risk")} />
        <${ChoiceMenu} name="Trend" options=${options("trend")} chosen=${choices.trend} onChange=${choose("trend")} />
        <${Select}
          name="Owner"
          hideName
          value=${choices.owner}
          options=${[["", "Owner"], ...known.map((owner) => [owner, person(owner)])]}
          onChange=${(owner) => navigateWith({ owner })}
        />
        <${Select}
          name="Alerts"
          hideName
          value=${choices.alerts}
          options=${[["", "Alerts"], ["on", "Alerts on"], ["off", "Alerts off"]]}
          onChange=${(alerts) => navigateWith({ alerts })}
        />
      </div>
    </div>
  `;
}

/** The search field: what is typed stands in the address once the typing rests. */
function Search({ q }) {
  const [typed, setTyped] = useState(q);
  const known = useRef(q);
  const settled = useSettled(typed, TYPING_MS);
  useEffect(() => {
    if (settled === known.current) return;
    known.current = settled;
    navigateWith({ q: settled }, { replace: true });
  }, [settled]);
  useEffect(() => {
    // Back, or a link: the address has another text than the field.
    if (q === known.current) return;
    known.current = q;
    setTyped(q);
  }, [q]);
  return html`<${SearchField} name="Search clients by name" placeholder="Search by name" value=${typed} onInput=${setTyped} />`;
}

function Results({ list, choices }) {
  const [open, setOpen] = useState(() => new Set());
  const toggle = useCallback(
    (id) =>
      setOpen((before) => {
        const after = new Set(before);
        if (!after.delete(id)) after.add(id);
        return after;
      }),
    [],
  );
  const total = list.first?.clients.totalCount;
  const filtered = isFiltered(choices);
  return html`
    <div class="results-head">
      <p role="status">
        ${total !== undefined && (filtered ? `${counted(total, "client")} found` : counted(total, "client"))}
      </p>
      ${filtered && html`<${Button} kind="quiet" onClick=${clearFilters}>Clear filters<//>`}
      <div class="sort">
        <${Select}
          name="Sort by"
          value=${choices.sort}
          options=${Object.entries(ORDERS).map(([value, { words }]) => [value, words])}
          onChange=${(sort) => navigateWith({ sort: sort === DEFAULT_ORDER ? null : sort })}
        />
      </div>
    </div>
    ${list.error && html`<${Failure} title="These clients could not be loaded" error=${list.error} retry=${list.refetch} />`}
    ${total === undefined && html`<${CardSkeletons} />`}
    ${total === 0 &&
    html`<${Empty} title="No client matches">
      <p>Another spelling may help, or fewer filters.</p>
      <${Button} onClick=${clearFilters}>Clear filters<//>
    <//>`}
    ${total > 0 && html`<${Cards} list=${list} total=${total} open=${open} onToggle=${toggle} />`}
  `;
}

function clearFilters() {
  const sort = new URLSearchParams(location.search).get("sort");
  navigate(sort === null ? "/" : `/?sort=${sort}`);
}

function NotLoaded({ list }) {
  return html`
    <div class="page">
      <${PageHeading}>Portfolio<//>
      <${Failure} title="The portfolio could not be loaded" error=${list.error} retry=${list.refetch} />
    </div>
  `;
}

function NoClients() {
  return html`
    <div class="page">
      <${PageHeading}>Portfolio<//>
      <${Empty} title="No clients yet">
        <p>Put CSV or JSON Lines files, clients.csv at least, into a folder and import it where the server runs:</p>
        <pre class="command"><code>./dev run import path/to/folder${"\n"}./dev run recalculate</code></pre>
        <p>The README lists the files and their columns. Then reload this page.</p>
        <${Button} icon="refresh" onClick=${() => location.reload()}>Reload<//>
      <//>
    </div>
  `;
}
