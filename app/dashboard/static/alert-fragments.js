/** What is shown of an alert, wherever it is shown. */

import { gql } from "./api.js";

/** What people say of an alert. */
export const FEEDBACK = gql`
  fragment Feedback on Alert {
    feedback {
      mine
      verdicts {
        useful
        alreadyKnown
        wrongData
      }
    }
  }
`;

/** An alert on the page of its client; a document includes it as `...ClientAlert`. */
export const CLIENT_ALERT = gql`
  fragment ClientAlert on Alert {
    id
    status
    message
    scoreBefore
    scoreAfter
    raisedAt
    acknowledgedAt
    acknowledgedBy
    note
    resolvedAt
    held
    releasing
    discardedAt
    causes {
      component
      pointsBefore
      pointsAfter
      change
      explanation
    }
    ...Feedback
  }
  ${FEEDBACK}
`;

/** An alert in the list of all; a document that lists alerts, or hears of them, includes it as `...ListedAlert`. */
export const LISTED_ALERT = gql`
  fragment ListedAlert on Alert {
    ...ClientAlert
    client {
      id
      name
      owner
      health {
        score
        trafficLight
      }
    }
  }
  ${CLIENT_ALERT}
`;
