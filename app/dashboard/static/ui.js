/** The parts that pages are made of. Each light has a word and a shape beside its colour. */

import { count, difference, label } from "./format.js";
import { classes, html, useEffect, useId, useRef, useState } from "./html.js";
import { Link } from "./router.js";

// Our own icons, drawn on a grid of 20 by 20.
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

/** Returns the name of a light for class names: "green", "amber", "red", or "none" without one. */
export function tone(light) {
  return light === null || light === undefined ? "none" : light.toLowerCase();
}

/** A light in words, with its shape: "Healthy", "At risk", "Critical", or "Not scored". */
export function Light({ light, children }) {
  const words = children ?? (light ? label(light) : "Not scored");
  return html`<span class=${`light tone-${tone(light)}`}><${Shape} light=${light} />${words}</span>`;
}

/** A score from 0 to 100 in a circle that it fills, in its colour; without a score a broken ring. */
export function ScoreCircle({ score, light, large = false }) {
  const known = score !== null && score !== undefined;
  const words = known ? `Score ${score} of 100, ${label(light)}` : "Not scored";
  return html`
    <span class=${classes("score", `tone-${tone(light)}`, large && "score-large")} role="img" aria-label=${words}>
      <svg viewBox="0 0 48 48" aria-hidden="true" focusable="false">
        <circle class=${classes("score-track", !known && "is-broken")} cx="24" cy="24" r="21" />
        ${known && html`<circle class="score-arc" cx="24" cy="24" r="21" pathLength="100" stroke-dasharray=${`${score} 100`} />`}
      </svg>
      <span class="score-number" aria-hidden="true">${known ? score : "–"}</span>
    </span>
  `;
}

const TREND_ICONS = { IMPROVING: "rise", DECLINING: "fall", STABLE: "flat" };

/** Where a score is heading, as an arrow with its points. */
export function Trend({ trend, delta }) {
  if (!trend) return html`<span class="trend trend-none">–<span class="hidden">No trend</span></span>`;
  const points = `${label(trend)}, ${difference(delta)} points against the scoring day before`;
  return html`
    <span class=${`trend trend-${trend.toLowerCase()}`} title=${points}>
      <${Icon} name=${TREND_ICONS[trend]} />
      <span aria-hidden="true">${difference(delta)}</span>
      <span class="hidden">${points}</span>
    </span>
  `;
}

/** A risk in words; only a high one stands out. */
export function Risk({ level }) {
  if (!level) return null;
  return html`<span class=${`risk risk-${level.toLowerCase()}`}>${label(level)}</span>`;
}

/** A button; `kind` is "primary", "quiet" or nothing, and while `busy` it says so and takes no clicks. */
export function Button({ kind, busy = false, icon, children, class: className, onClick, ...rest }) {
  // Disabling it would take the focus away, and with it the place of those who use the keyboard.
  const click = busy ? (event) => event.preventDefault() : onClick;
  return html`
    <button
      type="button"
      class=${classes("button", kind && `button-${kind}`, className)}
      aria-disabled=${busy ? "true" : undefined}
      aria-busy=${busy ? "true" : undefined}
      onClick=${click}
      ...${rest}
    >
      ${icon && html`<${Icon} name=${icon} class=${busy && "is-turning"} />`}${children}
    </button>
  `;
}

/** A switch with its words beside it. */
export function Switch({ checked, onChange, busy = false, children }) {
  const id = useId();
  return html`
    <span class="switch-row">
      <button
        type="button"
        class="switch"
        role="switch"
        aria-checked=${String(checked)}
        aria-labelledby=${id}
        aria-busy=${busy ? "true" : undefined}
        onClick=${() => !busy && onChange(!checked)}
      >
        <span class="switch-thumb" />
      </button>
      <span id=${id}>${children}</span>
    </span>
  `;
}

/** A choice of one: `options` are `[value, words]`, the empty value being "any". */
export function Select({ name, value, options, onChange, hideName = false }) {
  const id = useId();
  return html`
    <span class=${classes("select", value !== "" && hideName && "is-chosen")}>
      <label for=${id} class=${hideName ? "hidden" : "field-name"}>${name}</label>
      <span class="select-box">
        <select id=${id} value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
          ${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}
        </select>
        <${Icon} name="down" />
      </span>
    </span>
  `;
}

/** A choice of several, in a panel that opens: `options` are `[value, words]`, `chosen` is a list of values. */
export function ChoiceMenu({ name, options, chosen, onChange }) {
  const words = options.filter(([value]) => chosen.includes(value)).map(([, text]) => text);
  const toggle = (value) =>
    onChange(chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value]);
  return html`
    <details class=${classes("menu", chosen.length > 0 && "is-chosen")}>
      <summary>
        <span class="menu-words">${words.length === 0 ? name : html`<span class="hidden">${name}: </span>${words.join(", ")}`}</span>
        <${Icon} name="down" />
      </summary>
      <fieldset class="menu-panel">
        <legend class="hidden">${name}</legend>
        ${options.map(
          ([value, text]) => html`
            <label key=${value} class="choice">
              <input type="checkbox" checked=${chosen.includes(value)} onChange=${() => toggle(value)} />
              <span>${text}</span>
            </label>
          `,
        )}
      </fieldset>
    </details>
  `;
}

/** A choice of one, side by side: `options` are `[value, words]`. */
export function Chips({ name, value, options, onChange }) {
  return html`
    <div class="chips" role="group" aria-label=${name}>
      ${options.map(
        ([key, words]) => html`
          <button key=${key} type="button" class="chip" aria-pressed=${String(key === value)} onClick=${() => onChange(key)}>
            ${words}
          </button>
        `,
      )}
    </div>
  `;
}

/** A field to search in. */
export function SearchField({ name, value, onInput, placeholder = name }) {
  const field = useRef(null);
  const clear = () => {
    onInput("");
    field.current.focus();
  };
  return html`
    <span class="search">
      <${Icon} name="search" />
      <input
        ref=${field}
        type="search"
        aria-label=${name}
        placeholder=${placeholder}
        value=${value}
        autocomplete="off"
        spellcheck=${false}
        maxlength="200"
        onInput=${(event) => onInput(event.currentTarget.value)}
      />
      ${value !== "" &&
      html`<button type="button" class="icon-button" aria-label="Clear the search" onClick=${clear}><${Icon} name="close" /></button>`}
    </span>
  `;
}

/** Grey lines in the place of what loads. */
export function Skeleton({ lines = 3, class: className }) {
  return html`
    <div class=${classes("skeleton", className)} role="status">
      <span class="hidden">Loading</span>
      ${Array.from({ length: lines }, (_, line) => html`<span key=${line} class="skeleton-line" />`)}
    </div>
  `;
}

/** What is shown where there is nothing, with what to do about it. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** What went wrong and what to do: the error's sentence, its id for the log, and a way to try again. */
export function Failure({ title = "This could not be loaded", error, retry }) {
  return html`
    <div class="failure" role="alert">
      <${Icon} name=${error.code === "OFFLINE" ? "offline" : "alert"} />
      <div>
        <p class="failure-title">${title}</p>
        <p>${error.message}</p>
        ${error.requestId && html`<p class="quiet">Request ${error.requestId}</p>`}
        ${retry && html`<${Button} icon="refresh" onClick=${retry}>Try again<//>`}
      </div>
    </div>
  `;
}

/** How far something is: `done` of `total`, `total` null while it is not known. */
export function Progress({ name, done, total }) {
  const share = total ? Math.min(100, (100 * done) / total) : 0;
  const words = total === null || total === undefined ? "Starting" : `${count(done)} of ${count(total)}`;
  return html`
    <div class="progress">
      <div
        class=${classes("progress-track", !total && "is-unknown")}
        role="progressbar"
        aria-label=${name}
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${total ? Math.round(share) : undefined}
        aria-valuetext=${words}
      >
        <div class="progress-fill" style=${{ inlineSize: `${share}%` }} />
      </div>
      <span class="progress-words">${words}</span>
    </div>
  `;
}

/** A dialog above the page; `onClose` is called when the person closes it, by Escape as well. */
export function Dialog({ title, open, onClose, children }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`
    <dialog ref=${dialog} class="dialog" aria-labelledby=${id} onClose=${onClose}>
      ${open && html`<h2 id=${id}>${title}</h2>${children}`}
    </dialog>
  `;
}

const SHOWN_MS = 8_000;
const KEPT_NOTICES = 3;
let notices = [];
let lastNotice = 0;
const watchers = new Set();

/** Tells the person something in the corner for a while; an error stays until it is closed. */
export function notify(message, { title, href, kind = "info" } = {}) {
  const notice = { id: ++lastNotice, message, title, href, kind };
  setNotices([...notices, notice].slice(-KEPT_NOTICES));
  if (kind !== "error") setTimeout(() => dismiss(notice), SHOWN_MS);
}

/** Where notices appear; the frame has it. */
export function Notices() {
  const [state, setState] = useState(notices);
  useEffect(() => {
    watchers.add(setState);
    return () => watchers.delete(setState);
  }, []);
  return html`
    <div class="notices" role="status" aria-live="polite">
      ${state.map(
        (notice) => html`
          <div key=${notice.id} class=${`notice notice-${notice.kind}`}>
            <div>
              ${notice.title &&
              html`<p class="notice-title">
                ${notice.href ? html`<${Link} href=${notice.href}>${notice.title}<//>` : notice.title}
              </p>`}
              <p>${notice.message}</p>
            </div>
            <button type="button" class="icon-button" aria-label="Close this message" onClick=${() => dismiss(notice)}>
              <${Icon} name="close" />
            </button>
          </div>
        `,
      )}
    </div>
  `;
}

function dismiss(notice) {
  setNotices(notices.filter((one) => one.id !== notice.id));
}

function setNotices(next) {
  notices = next;
  for (const watch of watchers) watch(next);
}

/** Closes menus when the person clicks elsewhere, leaves them by Tab, or presses Escape. Called once. */
export function closeMenusOutside() {
  const closeOthers = (target) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
  };
  document.addEventListener("pointerdown", (event) => closeOthers(event.target));
  document.addEventListener("focusin", (event) => closeOthers(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest?.("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
