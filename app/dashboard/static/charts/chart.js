/** What all charts share: the frame with its title, tooltip and table, and the few sums that axes need. */

import { html, useId, useLayoutEffect, useRef, useState } from "../html.js";

/**
 * The frame of a chart: a title, the picture, a tooltip that follows the pointer and the arrow keys, and the same
 * figures as a table for those who cannot see the picture.
 *
 * `points` are what one walks along, each `{ text, tip, cells }`: a sentence for screen readers, what the tooltip shows
 * and the table's row. `draw(plot, active)` returns the picture, where `plot` is the rectangle between the axes, in
 * pixels, and `active` the point under the tooltip or null. `place(index, plot)` returns a point's x.
 */
export function Chart({ title, heading, summary, height, margin, points, columns, place, draw }) {
  const [ref, width] = useWidth();
  const [at, setAt] = useState(points.length - 1);
  const [shown, setShown] = useState(false);
  const id = useId();

  const current = Math.min(at, points.length - 1);
  const plot = {
    left: margin.left,
    right: Math.max(width - margin.right, margin.left + 1),
    top: margin.top,
    bottom: height - margin.bottom,
    width,
  };

  function showNearest(event) {
    const x = event.clientX - event.currentTarget.getBoundingClientRect().left;
    const distances = points.map((_, index) => Math.abs(place(index, plot) - x));
    setAt(distances.indexOf(Math.min(...distances)));
    setShown(true);
  }

  function walk(event) {
    const last = points.length - 1;
    const week = 7;
    const target = {
      ArrowRight: current + 1,
      ArrowUp: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current - 1,
      PageUp: current + week,
      PageDown: current - week,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Escape") setShown(false);
    if (target === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(last, target)));
    setShown(true);
  }

  const active = shown && points.length ? current : null;
  return html`
    <figure class="chart" aria-labelledby="${id}-title">
      <figcaption class="chart-title" id="${id}-title">${heading ?? title}</figcaption>
      ${summary && html`<p class="hidden">${summary}</p>`}
      <div class="chart-picture" ref=${ref} style=${{ height: `${height}px` }}>
        ${width > 0 &&
        html`<svg width=${width} height=${height} aria-hidden="true" focusable="false">${draw(plot, active)}</svg>`}
        ${points.length > 0 &&
        html`<div
          class="chart-walk"
          role="slider"
          tabindex="0"
          aria-roledescription="chart"
          aria-label=${title}
          aria-orientation="horizontal"
          aria-valuemin="1"
          aria-valuemax=${points.length}
          aria-valuenow=${current + 1}
          aria-valuetext=${points[current].text}
          onKeyDown=${walk}
          onFocus=${() => setShown(true)}
          onBlur=${() => setShown(false)}
          onPointerMove=${showNearest}
          onPointerDown=${showNearest}
          onPointerLeave=${(event) => setShown(event.currentTarget.matches(":focus-visible"))}
        ></div>`}
        ${active !== null && width > 0 && html`<${Tooltip} x=${place(active, plot)} width=${width}>${points[active].tip}<//>`}
      </div>
      <div class="hidden"><table>
        <caption>${title}</caption>
        <thead>
          <tr>${columns.map((column) => html`<th key=${column} scope="col">${column}</th>`)}</tr>
        </thead>
        <tbody>
          ${points.map(
            ({ cells: [first, ...others] }) => html`<tr key=${first}>
              <th scope="row">${first}</th>
              ${others.map((cell, index) => html`<td key=${index}>${cell}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table></div>
    </figure>
  `;
}

/** A small box above the picture that stays within its width. */
function Tooltip({ x, width, children }) {
  const ref = useRef(null);
  const [left, setLeft] = useState(x);
  useLayoutEffect(() => {
    const own = ref.current.offsetWidth;
    setLeft(Math.max(0, Math.min(x - own / 2, width - own)));
  });
  return html`<div class="chart-tooltip" ref=${ref} style=${{ transform: `translateX(${left}px)` }}>${children}</div>`;
}

/** Returns a ref and the width in whole pixels of the element that it is given to, 0 until it is known. */
function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(ref.current.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** Returns round numbers from 0 to at least `max`, about `count` steps of whole numbers apart. */
export function niceTicks(max, count) {
  const rough = Math.max(max, 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].find((factor) => factor * power >= rough) * power);
  const steps = Math.ceil(Math.max(max, 1) / step);
  return Array.from({ length: steps + 1 }, (_, index) => index * step);
}

/** Returns a function that maps numbers between `from` and `to` to pixels between `start` and `end`. */
export function scaleOf(from, to, start, end) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

const DAY = 24 * 60 * 60 * 1000;

/** Returns the number of whole days since 1970 of a date such as 2026-01-31. */
export function dayNumber(date) {
  return Date.parse(`${date}T00:00:00Z`) / DAY;
}

/** Returns the dates to label on an axis of days: the last one, and earlier ones in even steps that leave room. */
export function dayTicks(first, last, pixels) {
  const room = Math.max(2, Math.floor(pixels / 58));
  const days = last - first;
  const step = [1, 2, 7, 14, 28, 56, 91, 182].find((size) => days / size <= room) ?? 365;
  const ticks = [];
  for (let day = last; day >= first; day -= step) ticks.unshift(new Date(day * DAY).toISOString().slice(0, 10));
  return ticks;
}
