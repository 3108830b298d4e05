/** What people say of an alert: one click, which can be changed by another. */

import { FEEDBACK } from "../alert-fragments.js";
import { change, gql } from "../api.js";
import { count } from "../format.js";
import { html, useState } from "../html.js";
import { Chips, Icon } from "../ui.js";

const GIVE_FEEDBACK = gql`
  mutation GiveFeedback($id: ID!, $verdict: AlertVerdict!) {
    giveAlertFeedback(input: { id: $id, verdict: $verdict }) {
      __typename
      ... on Alert {
        id
        ...Feedback
      }
      ... on Error {
        code
        message
      }
    }
  }
  ${FEEDBACK}
`;

// Each verdict with the field that counts it.
const VERDICTS = [
  ["USEFUL", "useful", "Useful"],
  ["ALREADY_KNOWN", "alreadyKnown", "Already known"],
  ["WRONG_DATA", "wrongData", "Wrong data"],
];

/** The three verdicts on an alert of the client with this name, with how many people have given each. */
export function Feedback({ alert, clientName }) {
  const { mine, verdicts } = alert.feedback;
  const [state, setState] = useState({ saying: null, error: null });
  const chosen = state.saying ?? mine;

  async function say(verdict) {
    if (state.saying !== null || verdict === mine) return;
    setState({ saying: verdict, error: null });
    try {
      await change(GIVE_FEEDBACK, { id: alert.id, verdict });
      setState({ saying: null, error: null });
    } catch (error) {
      setState({ saying: null, error });
    }
  }

  const options = VERDICTS.map(([verdict, field, words]) => [
    verdict,
    html`
      ${verdict === chosen && html`<${Icon} name="check" />`}${words}
      ${verdicts[field] > 0 && html` <span class="hidden">said by </span><span class="quiet">${count(verdicts[field])}</span>`}
    `,
  ]);
  return html`
    <div class="feedback">
      <${Chips} name=${`What the alert of ${clientName} was worth`} value=${chosen} options=${options} onChange=${say} />
      ${state.error && html`<p class="change-error" role="alert">${state.error.message}</p>`}
    </div>
  `;
}
