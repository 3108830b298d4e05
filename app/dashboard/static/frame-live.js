/** The live connection of the frame: new alerts wherever the person is, and a word when the connection is lost. */

import { LISTED_ALERT } from "./alert-fragments.js";
import { gql } from "./api.js";
import { catchUp, raised, resync } from "./frame.js";
import { classes, html } from "./html.js";
import { useConnection, useSubscription } from "./live.js";
import { Icon, notify } from "./ui.js";

const ALERT_RAISED = gql`
  subscription AlertRaised {
    alertRaised {
      ...ListedAlert
    }
  }
  ${LISTED_ALERT}
`;

export default function Live() {
  const state = useConnection();
  useSubscription(ALERT_RAISED, {}, {
    next({ alertRaised: alert }) {
      // The list of alerts shows it by itself; one that was held and is looked after meanwhile calls nobody.
      if (location.pathname !== "/alerts" && alert.status === "OPEN") {
        notify(alert.message, { title: alert.client.name, href: `/clients/${alert.client.id}` });
      }
      raised(alert);
    },
    connected: catchUp,
    resync,
  });
  // While all is well it is silent.
  return html`
    <span class=${classes("connection", state === "offline" && "is-offline")} role="status">
      ${state === "offline" && html`<${Icon} name="offline" />Offline<span class="connection-more">, reconnecting</span>`}
    </span>
  `;
}
