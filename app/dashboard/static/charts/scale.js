/** Where one value lies among those of its peers: a scale with their quartiles and a marker. */

import { html } from "../html.js";
import { Chart, niceTicks, scaleOf } from "./chart.js";

const MARGIN = { left: 12, right: 12, top: 44, bottom: 46 };
// Wide enough for a character of the labels in any font of the page; an estimate that errs makes only more room.
const CHARACTER = 8.2;

/**
 * A scale with the 25th, median and 75th marks of the peers and the client's own marker.
 *
 * Better is always to the right, so that where lower is better the numbers fall from left to right. `value` is null for
 * no client, and for one without the metric. `format` writes a value with its unit.
 */
export function PercentileScale({ title, lowerIsBetter, percent, p25, median, p75, value, name, format }) {
  const ticks = percent ? [0, 25, 50, 75, 100] : niceTicks(Math.max(p75 * 1.25, value ?? 0), 6);
  const end = ticks.at(-1);
  const across = (plot) => (lowerIsBetter ? scaleOf(end, 0, plot.left, plot.right) : scaleOf(0, end, plot.left, plot.right));
  const marks = [
    { key: "p25", label: "25th", long: "25th percentile", value: p25 },
    { key: "median", label: "Median", long: "Median", value: median },
    { key: "p75", label: "75th", long: "75th percentile", value: p75 },
  ];
  const walked = [...marks];
  if (value !== null) walked.push({ key: "own", label: name, long: name, value });
  walked.sort((one, other) => (lowerIsBetter ? other.value - one.value : one.value - other.value));

  function draw(plot, active) {
    const x = across(plot);
    const middle = plot.top + (plot.bottom - plot.top) / 2;
    const ordered = walked.filter((mark) => mark.key !== "own");
    const labels = spread(
      ordered.map((mark) => ({ centre: x(mark.value), width: CHARACTER * Math.max(mark.label.length, format(mark.value).length) })),
      plot.width,
    );
    return html`
      <rect class="track" x=${plot.left} y=${middle - 5} width=${plot.right - plot.left} height="10" rx="5" />
      <rect class="middle-half" x=${Math.min(x(p25), x(p75))} y=${middle - 5} width=${Math.abs(x(p75) - x(p25))} height="10" />
      ${shownTicks(ticks, x, plot).map(
        (tick) => html`<g key=${tick} class="axis">
          <line x1=${x(tick)} x2=${x(tick)} y1=${plot.bottom + 22} y2=${plot.bottom + 26} />
          <text x=${x(tick)} y=${plot.bottom + 40} text-anchor=${anchor(x(tick), plot)}>            ${tick === 0 || tick === end ? format(tick) : tick}
          </text>
        </g>`,
      )}
      ${ordered.map(
        (mark, index) => html`<g key=${mark.key} class="mark ${mark.key}">
          <line x1=${x(mark.value)} x2=${x(mark.value)} y1=${middle - 9} y2=${middle + 9} />
          <path class="leader" d=${`M${x(mark.value)} ${middle - 9}L${labels[index]} ${middle - 17}`} />
          <text x=${labels[index]} y="12" text-anchor="middle">${mark.label}</text>
          <text class="figure" x=${labels[index]} y="27" text-anchor="middle">${format(mark.value)}</text>
        </g>`,
      )}
      ${value !== null && html`<${Marker} x=${x(value)} y=${middle} label=${format(value)} width=${plot.width} />`}
      ${active !== null && html`<circle class="ring" cx=${x(walked[active].value)} cy=${middle} r="13" />`}
    `;
  }

  return html`<${Chart}
    title=${title}
    heading=${html`<span class="hidden">${title}</span>`}
    height=${112}
    margin=${MARGIN}
    columns=${["Mark", "Value"]}
    points=${walked.map((mark) => ({
      text: `${mark.long}: ${format(mark.value)}`,
      tip: html`<strong>${format(mark.value)}</strong> ${mark.long}`,
      cells: [mark.long, format(mark.value)],
    }))}
    place=${(index, plot) => across(plot)(walked[index].value)}
    draw=${draw}
  />`;
}

/** The client's diamond on the track, with its value below. */
function Marker({ x, y, label, width }) {
  const half = (CHARACTER * label.length) / 2;
  const middle = Math.max(half, Math.min(x, width - half));
  return html`<g class="own">
    <path d=${`M${x} ${y - 10}L${x + 9} ${y}L${x} ${y + 10}L${x - 9} ${y}Z`} />
    <text class="figure" x=${middle} y=${y + 27} text-anchor="middle">${label}</text>
  </g>`;
}

/** Moves labels, in order of place, apart until none overlaps the next, and returns their centres within the width. */
function spread(labels, width) {
  const gap = 10;
  let edge = 0;
  const lefts = labels.map((label) => {
    const left = Math.max(edge, label.centre - label.width / 2);
    edge = left + label.width + gap;
    return left;
  });
  edge = width;
  for (let index = labels.length - 1; index >= 0; index -= 1) {
    lefts[index] = Math.min(lefts[index], edge - labels[index].width);
    edge = lefts[index] - gap;
  }
  return lefts.map((left, index) => left + labels[index].width / 2);
}

/** Returns the ticks at the ends, whose labels have a unit, and those that stand clear of them. */
function shownTicks(ticks, x, plot) {
  const room = 56;
  const clear = (tick) => x(tick) - plot.left > room && plot.right - x(tick) > room;
  return ticks.filter((tick, index) => index === 0 || index === ticks.length - 1 || clear(tick));
}

const anchor = (x, plot) => (x <= plot.left + 1 ? "start" : x >= plot.right - 1 ? "end" : "middle");
