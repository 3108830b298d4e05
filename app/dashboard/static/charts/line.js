/** A number over days as a line, with bands behind it that say what the number means. */

import { html } from "../html.js";
import { date, shortDate } from "../format.js";
import { Chart, dayNumber, dayTicks, scaleOf } from "./chart.js";

const MARGIN = { left: 34, right: 64, top: 10, bottom: 26 };

/**
 * A line over days, from 0 to 100.
 *
 * `points` are `{ date, value, note }`, oldest first, where a null value leaves a gap; `bands` are
 * `{ from, to, name, label }`, the name being a CSS class; `valueName` is the column of the table.
 */
export function LineChart({ title, valueName, points, bands, height = 240 }) {
  const days = points.map((point) => dayNumber(point.date));
  const first = days[0];
  const last = days.at(-1);
  const xOfDay = (day, plot) =>
    first === last ? (plot.left + plot.right) / 2 : scaleOf(first, last, plot.left, plot.right)(day);
  const x = (index, plot) => xOfDay(days[index], plot);

  function draw(plot, active) {
    const y = scaleOf(0, 100, plot.bottom, plot.top);
    const place = (index) => [x(index, plot), y(points[index].value)];
    const lastKnown = points.findLastIndex((point) => point.value !== null);
    return html`
      ${bands.map(
        (band) => html`<g key=${band.name} class="band ${band.name}">
          <rect x=${plot.left} y=${y(band.to)} width=${plot.right - plot.left} height=${y(band.from) - y(band.to)} />
          <text x=${plot.right + 10} y=${(y(band.from) + y(band.to)) / 2} dy="0.35em">${band.label}</text>
        </g>`,
      )}
      ${[0, 20, 40, 60, 80, 100].map(
        (tick) => html`<g key=${tick} class="axis">
          <line x1=${plot.left} x2=${plot.right} y1=${y(tick)} y2=${y(tick)} />
          <text x=${plot.left - 8} y=${y(tick)} dy="0.35em" text-anchor="end">${tick}</text>
        </g>`,
      )}
      ${dayTicks(first, last, plot.right - plot.left).map(
        (tick) => html`<g key=${tick} class="axis">
          <text x=${xOfDay(dayNumber(tick), plot)} y=${plot.bottom + 18} text-anchor="middle">${shortDate(tick)}</text>
        </g>`,
      )}
      ${stretches(points).map(
        (indexes) => html`<path key=${indexes[0]} class="line" d=${`M${indexes.map((index) => place(index).map(rounded).join(" ")).join("L")}`} />`,
      )}
      ${stretches(points)
        .filter((indexes) => indexes.length === 1)
        .map(([index]) => html`<circle key=${index} class="dot" cx=${place(index)[0]} cy=${place(index)[1]} r="3" />`)}
      ${lastKnown >= 0 && html`<circle class="dot" cx=${place(lastKnown)[0]} cy=${place(lastKnown)[1]} r="4" />`}
      ${active !== null &&
      html`<line class="cursor" x1=${x(active, plot)} x2=${x(active, plot)} y1=${plot.top} y2=${plot.bottom} />
        ${points[active].value !== null &&
        html`<circle class="dot active" cx=${place(active)[0]} cy=${place(active)[1]} r="5" />`}`}
    `;
  }

  return html`<${Chart}
    title=${title}
    summary=${summaryOf(points)}
    height=${height}
    margin=${MARGIN}
    columns=${["Day", valueName, "Light"]}
    points=${points.map((point) => ({
      text: `${date(point.date)}: ${point.value ?? "no score"}${point.note ? `, ${point.note}` : ""}`,
      tip: html`<strong>${point.value ?? "–"}</strong> ${point.note}<br /><span>${date(point.date)}</span>`,
      cells: [date(point.date), point.value ?? "none", point.note],
    }))}
    place=${x}
    draw=${draw}
  />`;
}

/** Returns the indexes of the points with a value, in runs without a gap. */
function stretches(points) {
  const runs = [];
  points.forEach((point, index) => {
    if (point.value === null) return;
    if (index > 0 && points[index - 1].value !== null) runs.at(-1).push(index);
    else runs.push([index]);
  });
  return runs;
}

/** Returns what the line says, in one sentence. */
function summaryOf(points) {
  const known = points.filter((point) => point.value !== null);
  if (!known.length) return "There is no value in this time.";
  const values = known.map((point) => point.value);
  const [start, end] = [known[0], known.at(-1)];
  return (
    `From ${start.value} on ${date(start.date)} to ${end.value} on ${date(end.date)}; ` +
    `lowest ${Math.min(...values)}, highest ${Math.max(...values)}.`
  );
}

const rounded = (number) => Math.round(number * 10) / 10;
