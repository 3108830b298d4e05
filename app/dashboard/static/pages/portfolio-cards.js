/**
 * The cards of the portfolio: what matters in a row, and the five components behind the score when unfolded.
 *
 * There are as many as the person scrolls to, of which only those near the screen are rendered.
 */

import { change, gql } from "../api.js";
import { Ago, date, dateTime, daysFromNow, label, person } from "../format.js";
import { classes, html, useEffect, useId, useMemo, useRef, useState } from "../html.js";
import { useQuery } from "../query.js";
import { Link } from "../router.js";
import { Button, Failure, Icon, Light, notify, Risk, ScoreCircle, Skeleton, tone, Trend } from "../ui.js";
import { PAGE_SIZE } from "./portfolio-query.js";

// How far from the screen cards are kept, in pixels, so that scrolling meets none that is missing.
const KEPT_AROUND = 2_000;
// How far from the end of the list the next page is asked for.
const ASKED_BEFORE = 1_200;

const COMPONENTS = gql`
  query Components($id: ID!) {
    client(id: $id) {
      id
      health {
        coverage
        components {
          key
          label
          weight
          score
          trafficLight
          measured
          stale
          explanation
        }
      }
    }
  }
`;

const SET_ALERTS = gql`
  mutation SetClientAlerts($input: SetClientAlertsInput!) {
    setClientAlerts(input: $input) {
      __typename
      ... on Client {
        id
        alertsEnabled
      }
      ... on Error {
        code
        message
      }
    }
  }
`;

/** The list with its end; `open` are the ids of unfolded cards. */
export function Cards({ list, total, open, onToggle }) {
  return html`
    <div
      class=${classes("cards", !list.current && "is-stale")}
      role="feed"
      aria-label="Clients"
      aria-busy=${String(list.loading || list.loadingMore)}
    >
      ${list.pages.map(
        (clients, index) => html`
          <${Chunk}
            key=${index}
            clients=${clients}
            before=${index * PAGE_SIZE}
            total=${total}
            open=${open}
            onToggle=${onToggle}
          />
        `,
      )}
    </div>
    <${End} list=${list} />
  `;
}

// The heights of the pages that are far from the screen, in pixels, known also when the person comes back to the list.
const heights = new WeakMap();

/** A page of cards, which makes room for a gap of the same height while it is far from the screen. */
function Chunk({ clients, before, total, open, onToggle }) {
  const box = useRef(null);
  const [near, setNear] = useState(!heights.has(clients));
  const height = useRef(heights.get(clients));
  useEffect(() => {
    // The same place with newer clients.
    if (!near) heights.set(clients, height.current);
    const chunk = box.current;
    const observer = new IntersectionObserver(
      ([entry]) => {
        // Cards that have the focus stay: it would be lost with them.
        const kept = entry.isIntersecting || chunk.contains(document.activeElement);
        if (kept) heights.delete(clients);
        else heights.set(clients, (height.current = entry.boundingClientRect.height));
        setNear(kept);
      },
      { rootMargin: `${KEPT_AROUND}px 0px` },
    );
    observer.observe(chunk);
    return () => observer.disconnect();
  }, [clients]);
  // The same cards as before unless something in them has changed: a long list costs no more than what is near.
  const cards = useMemo(
    () =>
      near &&
      clients.map(
        (client, place) => html`
          <${Card}
            key=${client.id}
            client=${client}
            position=${before + place + 1}
            total=${total}
            open=${open.has(client.id)}
            onToggle=${onToggle}
          />
        `,
      ),
    [near, clients, before, total, open, onToggle],
  );
  const style = near ? {} : { blockSize: `${height.current}px` };
  return html`<div ref=${box} class="chunk" style=${style}>${cards}</div>`;
}

/** The end of the list: more is loaded when it comes near, and by a button where scrolling is not how one reads. */
function End({ list }) {
  const mark = useRef(null);
  const latest = useRef(list);
  latest.current = list;
  const shown = list.pages.length;
  useEffect(() => {
    // Observed anew after each page: an end that is still in sight is no change to the observer.
    const observer = new IntersectionObserver(
      ([entry]) => {
        const { hasMore, moreError, loadMore } = latest.current;
        if (entry.isIntersecting && hasMore && moreError === null) loadMore();
      },
      { rootMargin: `${ASKED_BEFORE}px 0px` },
    );
    observer.observe(mark.current);
    return () => observer.disconnect();
  }, [shown, list.current]);
  return html`
    <div ref=${mark} class="cards-end">
      ${list.moreError && html`<${Failure} title="More clients could not be loaded" error=${list.moreError} retry=${list.loadMore} />`}
      ${list.hasMore &&
      list.moreError === null &&
      html`<${Button} busy=${list.loadingMore} onClick=${list.loadMore}>
        ${list.loadingMore ? "Loading more clients" : "Show more clients"}
      <//>`}
    </div>
  `;
}

/** What stands in the place of the cards until they come, at their height. */
export function CardSkeletons() {
  return html`
    <div class="cards" role="status">
      <span class="hidden">Loading clients</span>
      ${Array.from(
        { length: 8 },
        (_, index) => html`
          <div key=${index} class="client card skeleton-card"><span class="skeleton-dot" /><span class="skeleton-line" /></div>
        `,
      )}
    </div>
  `;
}

/** A card; `position` and `total` say where it stands in the list, part of which may not be rendered. */
function Card({ client, position, total, open, onToggle }) {
  const id = useId();
  const { health } = client;
  // The whole row is a target for the mouse; by keyboard the button at its end does the same.
  function clicked(event) {
    if (event.target.closest("a, button") === null && getSelection().isCollapsed) onToggle(client.id);
  }
  return html`
    <article
      class=${classes("client card", open && "is-open")}
      aria-labelledby=${`${id}-name`}
      aria-posinset=${position}
      aria-setsize=${total}
    >
      <div class="client-row" onClick=${clicked}>
        <${ScoreCircle} score=${health?.score} light=${health?.trafficLight} />
        <div class="client-who">
          <h3 id=${`${id}-name`}><${Link} href=${`/clients/${client.id}`}>${client.name}<//></h3>
          <p class="quiet">${describe(client)}</p>
        </div>
        <div class="client-facts">
          <div class="client-light">
            <${Light} light=${health?.trafficLight} />
            ${health?.score == null
              ? html`<span class="quiet">${coverageOf(health)}</span>`
              : html`<${Risk} level=${health.riskLevel} />`}
          </div>
          <div class="client-trend"><${Trend} trend=${health?.trend} delta=${health?.trendDelta} /></div>
          <p class="client-activity">
            ${client.lastActivityAt ? html`Active <${Ago} at=${client.lastActivityAt} />` : "No activity yet"}
          </p>
          <p class="client-renewal">
            ${client.renewalDate &&
            html`<span title=${date(client.renewalDate)}>${renewal(client.renewalDate)}</span>`}
          </p>
        </div>
        <div class="client-actions">
          <${Bell} client=${client} />
          <button
            type="button"
            class="icon-button"
            aria-expanded=${String(open)}
            aria-controls=${open ? `${id}-more` : undefined}
            aria-label=${`Components of ${client.name}`}
            onClick=${() => onToggle(client.id)}
          >
            <${Icon} name="down" class=${open && "is-turned"} />
          </button>
        </div>
      </div>
      ${open && html`<div id=${`${id}-more`} class="client-more"><${Components} id=${client.id} /></div>`}
    </article>
  `;
}

function describe(client) {
  const words = [client.size && label(client.size), label(client.industry), client.owner && person(client.owner)];
  if (client.status === "TRIAL") words.unshift("Trial");
  return words.filter(Boolean).join(" · ");
}

function coverageOf(health) {
  return health === null ? "Not calculated yet" : `${health.coverage} % measured`;
}

function renewal(day) {
  const words = daysFromNow(day);
  return new Date(`${day}T23:59:59Z`) < Date.now() ? `Renewal was ${words}` : `Renews ${words}`;
}

/** Whether a drop raises an alert. It turns at once and is pale until the server has agreed, or turns back. */
function Bell({ client }) {
  const [wanted, setWanted] = useState(null);
  const shown = useRef(true);
  useEffect(() => () => (shown.current = false), []);
  const on = wanted ?? client.alertsEnabled;
  const snoozed = on && client.alertsSnoozedUntil !== null && new Date(client.alertsSnoozedUntil) > Date.now();
  async function toggle() {
    if (wanted !== null) return;
    setWanted(!on);
    try {
      await change(SET_ALERTS, { input: { clientId: client.id, enabled: !on } });
    } catch (error) {
      notify(`${error.message} They are still ${on ? "on" : "off"}.`, {
        kind: "error",
        title: `Alerts of ${client.name} were not switched`,
      });
    }
    if (shown.current) setWanted(null);
  }
  const title = snoozed
    ? `Alerts on, snoozed until ${dateTime(client.alertsSnoozedUntil)}`
    : `Alerts ${on ? "on" : "off"}`;
  return html`
    <button
      type="button"
      class=${classes("icon-button bell", on && "is-on", wanted !== null && "is-saving")}
      aria-pressed=${String(on)}
      aria-busy=${wanted !== null ? "true" : undefined}
      aria-label=${`Alerts of ${client.name}`}
      title=${title}
      onClick=${toggle}
    >
      <${Icon} name=${on ? (snoozed ? "clock" : "bell") : "bell-off"} />
    </button>
  `;
}

function Components({ id }) {
  const { data, error, refetch } = useQuery(COMPONENTS, { id });
  if (error && data === undefined) {
    return html`<${Failure} title="The components could not be loaded" error=${error} retry=${refetch} />`;
  }
  if (data === undefined) return html`<${Skeleton} lines=${5} />`;
  const health = data.client?.health;
  if (!health) return html`<p class="quiet">This client's health has not been calculated yet.</p>`;
  return html`
    ${health.coverage < 50 &&
    html`<p class="client-why">
      Not scored: ${health.coverage} % of the weight could be measured, and a score takes at least 50 %.
    </p>`}
    <ul class="components">
      ${health.components.map((one) => html`<${HealthComponent} key=${one.key} component=${one} />`)}
    </ul>
  `;
}

function HealthComponent({ component }) {
  const { score, stale } = component;
  return html`
    <li class=${classes(`component tone-${tone(component.trafficLight)}`, stale && "is-kept")}>
      <p class="component-name">
        ${component.label} <span class="quiet">${component.weight} %</span>
        ${stale && html` <span class="tag">Feed silent</span>`}
      </p>
      <div class="bar" aria-hidden="true"><div class="bar-fill" style=${{ inlineSize: `${score ?? 0}%` }} /></div>
      <p class="component-score">
        ${score === null ? html`<span class="quiet">Not measured</span>` : html`<${Light} light=${component.trafficLight}>${score}<//>`}
      </p>
      <p class="component-why quiet">${component.explanation}</p>
    </li>
  `;
}
