/** Values as words: dates, numbers, and the names that people use for what the API calls by constants. */

import { html, useEffect, useState } from "./html.js";

const LABELS = {
  GREEN: "Healthy",
  AMBER: "At risk",
  RED: "Critical",
  LOW: "Low risk",
  MEDIUM: "Medium risk",
  HIGH: "High risk",
  IMPROVING: "Improving",
  STABLE: "Stable",
  DECLINING: "Declining",
  ENTERPRISE: "Enterprise",
  MIDMARKET: "Mid-market",
  SMB: "SMB",
  FINANCIAL: "Financial",
  HEALTHCARE: "Health care",
  TECHNOLOGY: "Technology",
  MANUFACTURING: "Manufacturing",
  OTHER: "Other",
  ACTIVE: "Active",
  TRIAL: "Trial",
  CHURNED: "Churned",
  HIGH_TOUCH: "High touch",
  PLG: "Product-led",
  CORE: "Core",
  ADVANCED: "Advanced",
  INTEGRATION: "Integration",
  REPORTING: "Reporting",
  RISK_HIGH: "High risk",
  LIGHT_WORSENED: "Light got worse",
  SCORE_DROP: "Score dropped",
  OPEN: "Open",
  ACKNOWLEDGED: "Acknowledged",
  RESOLVED: "Resolved",
  RECALCULATE_ONE: "Recalculation of one client",
  RECALCULATE_ALL: "Recalculation of all clients",
  RECORD_METRICS: "Recording of daily metrics",
  SET_ALERTS: "Switching of alerts",
  IMPORT: "Import",
  REPLAY_ALERTS: "Replay of alerts",
  ERASE: "Erasure",
  QUEUED: "Queued",
  RUNNING: "Running",
  SUCCEEDED: "Succeeded",
  FAILED: "Failed",
  CLIENT_SUCCESS: "Client success",
  PLATFORM_ADMIN: "Administrator",
};

/** Returns the words for a constant of the API. Throws for one without words, so that none is forgotten. */
export function label(constant) {
  const words = LABELS[constant];
  if (words === undefined) throw new Error(`no words for ${constant}`);
  return words;
}

/** Returns a function that makes something at its first call: a formatter takes milliseconds, and few pages need all. */
function lazy(make) {
  let made;
  return () => (made ??= make());
}

const integer = lazy(() => new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 }));
const decimal = lazy(() => new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 }));
const signed = lazy(() => new Intl.NumberFormat(undefined, { signDisplay: "exceptZero", maximumFractionDigits: 1 }));

/** Returns a count with its thousands grouped. */
export function count(value) {
  return integer().format(value);
}

/** Returns a number with at most one decimal. */
export function number(value) {
  return decimal().format(value);
}

/** Returns a difference with its sign, a true minus included: "+7", "−12", "0". */
export function difference(value) {
  return signed().format(value).replace("-", "−");
}

/** Returns a percentage with at most one decimal: "63 %". */
export function percent(value) {
  return `${decimal().format(value)} %`;
}

/** Returns a count with its noun: "1 client", "144 clients". */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const day = lazy(() => new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }));
const shortDay = lazy(() => new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" }));
const moment = lazy(() => new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }));
const calendar = lazy(() => new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }));
// 45 hours ago may be the day before yesterday, and 8 weeks ago is not last month: a length of time has a number.
const length = lazy(() => new Intl.RelativeTimeFormat(undefined, { numeric: "always" }));

/** Returns a day such as "2026-11-20" in the reader's way. The days of the scores are UTC days. */
export function date(value) {
  return day().format(new Date(`${value.slice(0, 10)}T00:00:00Z`));
}

/** Returns a day without its year, for axes and tight places. */
export function shortDate(value) {
  return shortDay().format(new Date(`${value.slice(0, 10)}T00:00:00Z`));
}

/** Returns a moment in the reader's way and time zone. */
export function dateTime(value) {
  return moment().format(new Date(value));
}

const UNITS = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Returns how far a moment is from now, in one unit: "3 days ago", "in 2 hours", "just now". */
export function fromNow(value, now = Date.now()) {
  const seconds = (new Date(value).getTime() - now) / 1000;
  for (const [unit, unitSeconds] of UNITS) {
    // Two weeks are a length that people say in days.
    if (Math.abs(seconds) >= unitSeconds && !(unit === "week" && Math.abs(seconds) < 2 * unitSeconds)) {
      return length().format(Math.trunc(seconds / unitSeconds), unit);
    }
  }
  return seconds > 30 ? "in a moment" : "just now";
}

/** Returns how far a UTC day is from today: "today", "tomorrow", "in 24 days", "3 months ago". */
export function daysFromNow(value, now = Date.now()) {
  const today = Math.floor(now / 86_400_000);
  const days = Math.round(Date.parse(`${value}T00:00:00Z`) / 86_400_000) - today;
  if (Math.abs(days) < 60) return calendar().format(days, "day");
  if (Math.abs(days) < 700) return calendar().format(Math.round(days / 30.4), "month");
  return calendar().format(Math.round(days / 365), "year");
}

// One clock for all moments on the page.
const ticking = new Set();
setInterval(() => {
  for (const tick of ticking) tick((minutes) => minutes + 1);
}, 60_000);

/** A moment as "3 days ago", with the exact time behind it; it stays right while the page is open. */
export function Ago({ at, class: className }) {
  const [, tick] = useState(0);
  useEffect(() => {
    ticking.add(tick);
    return () => ticking.delete(tick);
  }, []);
  return html`<time class=${className} datetime=${at} title=${dateTime(at)}>${fromNow(at)}</time>`;
}

/** Returns the name of an owner without the company's domain, as colleagues say it: "Amara Diallo". */
export function person(address) {
  const [name] = address.split("@");
  return name
    .split(/[._]+/)
    .filter(Boolean)
    .map((part) => part[0].toUpperCase() + part.slice(1))
    .join(" ");
}
