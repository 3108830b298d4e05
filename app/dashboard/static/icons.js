/** Our own icons, drawn on a grid of 20 by 20. */

import { classes, html } from "./html.js";

const PATHS = {
  pulse: "M2 11h3.5l2-5.5 4 10 2.5-7 1.2 2.5H18",
  bell: "M10 3a4.5 4.5 0 0 0-4.5 4.5c0 4-1.8 5.3-1.8 6h12.6c0-.7-1.8-2-1.8-6A4.5 4.5 0 0 0 10 3ZM8.3 16a1.8 1.8 0 0 0 3.4 0",
  "bell-off":
    "M6 5.4A4.5 4.5 0 0 1 14.5 7.5c0 1.6.3 2.8.7 3.7M5.5 7.7c0 3.9-1.8 5.1-1.8 5.8H13M8.3 16a1.8 1.8 0 0 0 3.4 0M3 3l14 14",
  search: "M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM13 13l4 4",
  down: "M5 8l5 5 5-5",
  right: "M8 5l5 5-5 5",
  up: "M5 12l5-5 5 5",
  rise: "M4 14 14 4M7 4h7v7",
  fall: "M4 6l10 10M14 9v7H7",
  flat: "M3 10h13M12 6l4 4-4 4",
  close: "M5 5l10 10M15 5 5 15",
  check: "M4 10.5l4 4 8-9",
  refresh: "M16 10a6 6 0 1 1-1.8-4.3M16.5 3v3.5H13",
  offline: "M3 3l14 14M3 8.5a10 10 0 0 1 3.5-2.2M10 5.5c2.7 0 5.1 1 7 3M5.8 11.5a6 6 0 0 1 3-1.7M12 10.2c.8.3 1.6.8 2.2 1.4M9.9 15.5h.2",
  alert: "M10 3 2.5 16.5h15L10 3ZM10 8v4M10 14.4v.2",
  clock: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM10 6v4.2l2.8 1.8",
  calendar: "M3.5 5h13v11.5h-13zM3.5 8.5h13M7 3v3.5M13 3v3.5",
  external: "M8 4H4v12h12v-4M11 4h5v5M16 4l-7 7",
};

/** An icon, which is decoration: what it means stands beside it, or in the name of the button around it. */
export function Icon({ name, class: className }) {
  return html`
    <svg class=${classes("icon", className)} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d=${PATHS[name]} />
    </svg>
  `;
}

const SHAPES = {
  GREEN: html`<circle cx="6" cy="6" r="4.5" />`,
  AMBER: html`<path d="M6 1.2 11.3 10.7H.7z" />`,
  RED: html`<path d="M3.9 1h4.2L11 3.9v4.2L8.1 11H3.9L1 8.1V3.9z" />`,
  NONE: html`<circle class="hollow" cx="6" cy="6" r="3.8" />`,
};

/** The shape of a light: circle, triangle, octagon, and a ring for a client without one. */
export function Shape({ light }) {
  return html`<svg class="shape" viewBox="0 0 12 12" aria-hidden="true" focusable="false">${SHAPES[light ?? "NONE"]}</svg>`;
}
