/** The cards of the portfolio: as many as the person scrolls to, of which only those near the screen are rendered. */

import { classes, html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { Button, Failure } from "../ui.js";
import { Card } from "./portfolio-card.js";
import { PAGE_SIZE } from "./portfolio-query.js";

// How far from the screen cards are kept, in pixels, so that scrolling meets none that is missing.
const KEPT_AROUND = 2_000;
// How far from the end of the list the next page is asked for.
const ASKED_BEFORE = 1_200;

/** The list with its end; `open` are the ids of unfolded cards. */
export function Cards({ list, total, open, onToggle }) {
  const chunks = [];
  for (let start = 0; start < list.items.length; start += PAGE_SIZE) {
    chunks.push(list.items.slice(start, start + PAGE_SIZE));
  }
  return html`
    <div
      class=${classes("cards", !list.current && "is-stale")}
      role="feed"
      aria-label="Clients"
      aria-busy=${String(list.loading || list.loadingMore)}
    >
      ${chunks.map(
        (clients, index) => html`
          <${Chunk} key=${index}>
            ${clients.map(
              (client, place) => html`
                <${Card}
                  key=${client.id}
                  client=${client}
                  position=${index * PAGE_SIZE + place + 1}
                  total=${total}
                  open=${open.has(client.id)}
                  onToggle=${onToggle}
                />
              `,
            )}
          <//>
        `,
      )}
    </div>
    <${End} list=${list} />
  `;
}

/** Some cards, which make room for a gap of the same height while they are far from the screen. */
function Chunk({ children }) {
  const box = useRef(null);
  const height = useRef(0);
  const [near, setNear] = useState(true);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => {
        // Cards that have the focus stay: it would be lost with them.
        const kept = entry.isIntersecting || box.current.contains(document.activeElement);
        if (!kept) height.current = entry.boundingClientRect.height;
        setNear(kept);
      },
      { rootMargin: `${KEPT_AROUND}px 0px` },
    );
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const style = near ? {} : { blockSize: `${height.current}px` };
  return html`<div ref=${box} class="chunk" style=${style}>${near && children}</div>`;
}

/** The end of the list: more is loaded when it comes near, and by a button where scrolling is not how one reads. */
function End({ list }) {
  const mark = useRef(null);
  const latest = useRef(list);
  latest.current = list;
  const shown = list.items.length;
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
