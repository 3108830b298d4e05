/** Counts of days as bars, one or more beside each other for each day. */

import { html } from "../html.js";
import { count, date, shortDate } from "../format.js";
import { Chart, dayNumber, dayTicks, niceTicks, scaleOf } from "./chart.js";

/**
 * Bars for each day. `days` are `{ date, counts }`, oldest first, with a count for each of `series`, which are
 * `{ name, label }`, the name being a CSS class. `peak` is a date to point out, or null.
 */
export function BarChart({ title, series, days, peak = null, height = 170 }) {
  const most = Math.max(0, ...days.flatMap((day) => day.counts));
  const ticks = niceTicks(most, 3);
  const margin = { left: 14 + 7 * count(ticks.at(-1)).length, right: 6, top: 18, bottom: 26 };
  const slot = (plot) => (plot.right - plot.left) / Math.max(days.length, 1);
  const centre = (index, plot) => plot.left + (index + 0.5) * slot(plot);

  function draw(plot, active) {
    const y = scaleOf(0, ticks.at(-1), plot.bottom, plot.top);
    const all = slot(plot) * 0.72;
    const each = Math.min(18, all / series.length);
    const labelled = days.length ? dayTicks(dayNumber(days[0].date), dayNumber(days.at(-1).date), plot.right - plot.left) : [];
    return html`
      ${ticks.map(
        (tick) => html`<g key=${tick} class="axis">
          <line x1=${plot.left} x2=${plot.right} y1=${y(tick)} y2=${y(tick)} />
          <text x=${plot.left - 8} y=${y(tick)} dy="0.35em" text-anchor="end">${count(tick)}</text>
        </g>`,
      )}
      ${most === 0 &&
      html`<text x=${(plot.left + plot.right) / 2} y=${(plot.top + plot.bottom) / 2} dy="0.35em" text-anchor="middle">
        None in these ${days.length} days
      </text>`}
      ${days.map((day, index) => {
        const middle = centre(index, plot);
        return html`<g key=${day.date} class=${index === active ? "day active" : "day"}>
          ${index === active &&
          html`<rect class="backdrop" x=${plot.left + index * slot(plot)} y=${plot.top} width=${slot(plot)} height=${plot.bottom - plot.top} />`}
          ${day.counts.map(
            (value, place) =>
              value > 0 &&
              html`<rect
                key=${place}
                class="column ${series[place].name}"
                x=${middle - (each * series.length) / 2 + place * each}
                y=${y(value)}
                width=${Math.max(each - 0.5, 1)}
                height=${plot.bottom - y(value)}
              />`,
          )}
          ${day.date === peak &&
          html`<text class="peak" x=${Math.min(Math.max(middle, plot.left + 14), plot.right - 14)} y=${y(day.counts[0]) - 6} text-anchor="middle">Peak</text>`}
          ${labelled.includes(day.date) &&
          html`<g class="axis"><text x=${Math.min(middle, plot.right - 16)} y=${plot.bottom + 18} text-anchor="middle">${shortDate(day.date)}</text></g>`}
        </g>`;
      })}
    `;
  }

  const heading = html`${title}${series.length > 1 &&
  html`<span class="chart-legend">
    ${series.map((one) => html`<span key=${one.name} class="key ${one.name}">${one.label}</span>`)}
  </span>`}`;
  const sentence = (day) => series.map((one, place) => `${count(day.counts[place])} ${one.label.toLowerCase()}`).join(", ");
  return html`<${Chart}
    title=${title}
    heading=${heading}
    summary=${series.map((one, place) => `${one.label}: ${count(sum(days, place))} in ${days.length} days.`).join(" ")}
    height=${height}
    margin=${margin}
    columns=${["Day", ...series.map((one) => one.label)]}
    points=${days.map((day) => ({
      text: `${date(day.date)}: ${sentence(day)}`,
      tip: html`<strong>${sentence(day)}</strong><br /><span>${date(day.date)}</span>`,
      cells: [date(day.date), ...day.counts.map(count)],
    }))}
    place=${centre}
    draw=${draw}
  />`;
}

const sum = (days, place) => days.reduce((total, day) => total + day.counts[place], 0);
