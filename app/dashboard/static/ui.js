/** The parts that pages are made of. Each light has a word and a shape beside its colour. */

import { count, difference, label } from "./format.js";
import { classes, html, useEffect, useId, useRef, useState } from "./html.js";
import { Icon, Shape } from "./icons.js";
import { Link } from "./router.js";

export { Icon, Shape };

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
export function Button({ kind, busy = false, icon, children, class: className, disabled, ...rest }) {
  return html`
    <button
      type="button"
      class=${classes("button", kind && `button-${kind}`, className)}
      disabled=${disabled || busy}
      aria-busy=${busy ? "true" : undefined}
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
