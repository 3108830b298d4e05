/** What a client does on the platform: its days, and the features that it uses. */

import { BarChart } from "../charts/bars.js";
import { Ago, count, counted, date, label, number, percent, shortDate } from "../format.js";
import { html } from "../html.js";
import { Icon } from "../ui.js";

const CATEGORIES = ["CORE", "ADVANCED", "INTEGRATION", "REPORTING"];

/** Thirty days of logins, cases and campaign responses, with what they come to. */
export function Usage({ usage: { daily, summary } }) {
  const days = (...names) => daily.map((day) => ({ date: day.date, counts: names.map((name) => day[name]) }));
  const session = summary.avgSessionMinutes;
  const figures = [
    ["Logins", count(summary.totalLogins)],
    ["Active members", count(summary.uniqueUsers)],
    ["Average session", session === null ? null : `${number(session)} min`],
    ["Peak day", summary.peakDay && shortDate(summary.peakDay)],
  ];
  const silent = daily.every((one) => one.logins + one.casesCreated + one.casesResolved + one.campaignResponses === 0);
  return html`
    <section class="card" aria-labelledby="usage">
      <h2 id="usage">Usage, last ${daily.length} days</h2>
      <dl class="figures">
        ${figures.map(
          ([name, value]) => html`<div key=${name}>
            <dt>${name}</dt>
            <dd>${value ?? html`<span class="quiet">None</span>`}</dd>
          </div>`,
        )}
      </dl>
      ${silent
        ? html`<p class="quiet">Nobody logged in, opened or closed a case, or answered a campaign.</p>`
        : html`<${Charts} days=${days} peak=${summary.peakDay} />`}
    </section>
  `;
}

function Charts({ days, peak }) {
  return html`
    <${BarChart}
      title="Logins a day"
      series=${[{ name: "first", label: "Logins" }]}
      days=${days("logins")}
      peak=${peak}
    />
    <div class="usage-pair">
      <${BarChart}
        title="Cases a day"
        height=${140}
        series=${[
          { name: "first", label: "Opened" },
          { name: "second", label: "Closed" },
        ]}
        days=${days("casesCreated", "casesResolved")}
      />
      <${BarChart}
        title="Campaign responses a day"
        height=${140}
        series=${[{ name: "first", label: "Responses" }]}
        days=${days("campaignResponses")}
      />
    </div>
  `;
}

/** The features by category, with how much of each the client has adopted. */
export function Features({ features, adoption }) {
  const groups = CATEGORIES.map((category) => [category, features.filter((one) => one.category === category)]);
  const { enabledCount, usedCount, adoptionRate } = adoption;
  return html`
    <section class="card" aria-labelledby="features">
      <h2 id="features">Features</h2>
      ${adoptionRate === null
        ? html`<p class="quiet">No features are enabled for this client.</p>`
        : html`<p class="features-lead">
            <strong>${percent(adoptionRate)} adopted.</strong> ${count(usedCount)} of
            ${" "}${counted(enabledCount, "enabled feature")} ${usedCount === 1 ? "has" : "have"} been used.
          </p>`}
      <div class="feature-groups">
        ${groups
          .filter(([, members]) => members.length > 0)
          .map(([category, members]) => html`<${FeatureGroup} key=${category} category=${category} features=${members} />`)}
      </div>
    </section>
  `;
}

function FeatureGroup({ category, features }) {
  const enabled = features.filter((feature) => feature.enabled);
  const adopted = enabled.filter((feature) => feature.adopted);
  const share = enabled.length ? (100 * adopted.length) / enabled.length : null;
  return html`
    <section class="feature-group" aria-label=${label(category)}>
      <div class="feature-group-head">
        <h3>${label(category)}</h3>
        <span class="quiet">
          ${share === null ? "None enabled" : `${percent(share)}, ${adopted.length} of ${enabled.length}`}
        </span>
      </div>
      <ul>
        ${features.map((feature) => html`<${Feature} key=${feature.key} feature=${feature} />`)}
      </ul>
    </section>
  `;
}

function Feature({ feature }) {
  const state = !feature.enabled ? "off" : feature.adopted ? "adopted" : "unused";
  return html`
    <li class=${`feature is-${state}`}>
      <span class="feature-sign">${state === "adopted" && html`<${Icon} name="check" />`}</span>
      <span class="feature-name">${feature.name}</span>
      <span class="feature-use">
        ${state === "off" && "Not enabled"} ${state === "unused" && "Never used"}
        ${state === "adopted" && html`<${FeatureUse} feature=${feature} />`}
      </span>
    </li>
  `;
}

function FeatureUse({ feature: { firstUsedAt, lastUsedAt } }) {
  return html`
    <span>${lastUsedAt ? html`Last used <${Ago} at=${lastUsedAt} />` : "Used"}</span>
    ${firstUsedAt && html`<span class="quiet">First used ${date(firstUsedAt)}</span>`}
  `;
}
