/** Why a score moved: a line with the components that did, which unfolds into what was counted. */

import { difference, number } from "../format.js";
import { classes, html } from "../html.js";
import { Icon } from "../ui.js";

// Not among the words of format.js, which come with the first view of the portfolio.
const COMPONENTS = {
  LOGIN: "Login activity",
  CASE_RESOLUTION: "Case resolution",
  CAMPAIGN_COMPLETION: "Campaign completion",
  FEATURE_ADOPTION: "Feature adoption",
  TICKET_VOLUME: "Support tickets",
};

/** The causes of an alert; the API has none for alerts from before they were kept. */
export function Causes({ alert }) {
  const { causes, scoreBefore, scoreAfter } = alert;
  if (causes.length === 0) return null;
  return html`
    <details class="causes">
      <summary>
        <${Icon} name="right" />
        <span>
          <span class="causes-word">Why</span>
          ${causes.map(
            ({ component, change }, index) => html`
              <span key=${component} class="causes-part">
                ${COMPONENTS[component]} <b>${difference(change)}</b>${index < causes.length - 1 && " ·"}
              </span>${" "}
            `,
          )}
        </span>
      </summary>
      <dl>
        ${causes.map(
          (cause) => html`
            <${Moved}
              key=${cause.component}
              name=${COMPONENTS[cause.component]}
              before=${cause.pointsBefore}
              after=${cause.pointsAfter}
              change=${cause.change}
              explanation=${cause.explanation}
            />
          `,
        )}
        <${Moved} name="Score" before=${scoreBefore} after=${scoreAfter} change=${scoreAfter - scoreBefore} isSum />
      </dl>
    </details>
  `;
}

function Moved({ name, before, after, change, explanation, isSum = false }) {
  return html`
    <div class=${classes("cause", isSum && "cause-sum")}>
      <dt>${name}</dt>
      <dd class="cause-points">
        <span class="quiet">${number(before)}<span class="hidden"> to </span><span aria-hidden="true"> → </span>${number(after)}</span>
      </dd>
      <dd class=${classes("cause-change", change < 0 ? "is-loss" : "is-gain")}>${difference(change)}</dd>
      ${explanation && html`<dd class="cause-explanation quiet">${explanation}</dd>`}
    </div>
  `;
}
