/**
 * The page for the signed-out. An address with a one-time code signs in at once; everybody else is told how. From the
 * organisation's own sign-in people who were not let in come back here with the reason (`?error=`).
 */

import { ask, errorIn, gql } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { PageHeading, useTitle } from "../router.js";
import { Failure, Icon, Skeleton } from "../ui.js";

const WHO = gql`
  query Who {
    viewer {
      subject
    }
  }
`;

const REASONS = {
  denied: "The sign-in was cancelled, or your organisation does not let you in.",
  refused:
    "The sign-in could not be completed. Try once more. If it fails again, your account may have no role in " +
    "Client Health: ask your administrator.",
  unavailable: "Your organisation's sign-in does not answer right now. Try again in a minute.",
};

export default function SignInPage() {
  useTitle("Sign in");
  const [search] = useState(() => new URLSearchParams(location.search));
  const code = search.get("code");
  const [error, setError] = useState(() => reasonOf(search.get("error")));
  useEffect(() => {
    // A code works once and must not stay in the history; neither should an old reason.
    history.replaceState(null, "", "/sign-in");
    if (code !== null) signIn(code).then(enter, setError);
    // Back, or a bookmark, leads a signed-in person here; to everybody else the page says how to get in.
    else if (error === null) ask(WHO).then(enter, () => {});
  }, [code]);
  return html`
    <main class="sign-in" id="main">
      <div class="sign-in-card card">
        <p class="brand"><${Icon} name="pulse" /><span>Client Health</span></p>
        ${code !== null && error === null
          ? html`<${PageHeading}>Signing you in<//><${Skeleton} lines=${2} />`
          : html`<${PageHeading}>Sign in<//>
              ${error && html`<${Failure} title=${code === null ? "You are not signed in" : "This address did not sign you in"} error=${error} />`}
              <${Ways} />`}
      </div>
    </main>
  `;
}

function Ways() {
  const withProvider = document.documentElement.dataset.signIn === "oidc";
  if (withProvider) {
    return html`
      <p>Use the account that your organisation gave you.</p>
      <a class="button button-primary" href="/sign-in/oidc">Continue to sign in</a>
    `;
  }
  return html`
    <p>Open the address that the server prints when it starts. It works once, for ten minutes.</p>
    <p>Whoever runs the server gets a new one with:</p>
    <pre class="command"><code>client-health sign-in --role CLIENT_SUCCESS \\${"\n"}  --subject you@example.com</code></pre>
  `;
}

function reasonOf(word) {
  return word === null ? null : new Error(Object.hasOwn(REASONS, word) ? REASONS[word] : REASONS.refused);
}

/** Goes on to the page that the person wanted before signing in; a load of its own, so that nothing old remains. */
function enter() {
  const wanted = sessionStorage.getItem("wanted") ?? "/";
  sessionStorage.removeItem("wanted");
  location.replace(wanted);
}

async function signIn(code) {
  let response;
  try {
    response = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    });
  } catch {
    throw new Error("The server does not answer. Check your connection and open the address again.");
  }
  if (response.ok) return;
  const payload = await response.json().catch(() => null);
  throw errorIn(payload) ?? new Error(`The server answered ${response.status}.`);
}
