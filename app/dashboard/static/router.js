/** The address as state: which page is shown, and with which choices. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const listeners = new Set();

// The browser would scroll before the page it returns to has its content back.
history.scrollRestoration = "manual";

/** Returns the present address as `{path, search}`, `search` being URLSearchParams. */
export function currentLocation() {
  return { path: location.pathname, search: new URLSearchParams(location.search) };
}

/** Returns the present address, and renders the component again when it changes. */
export function useLocation() {
  const [state, setState] = useState(currentLocation);
  useEffect(() => {
    const update = () => setState(currentLocation());
    listeners.add(update);
    update();
    return () => listeners.delete(update);
  }, []);
  return state;
}

/** Goes to an address of this site; with `replace` the present one is not kept for Back. */
export function navigate(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  const samePage = new URL(address, location.href).pathname === location.pathname;
  if (replace) {
    history.replaceState(history.state, "", address);
  } else {
    rememberScroll();
    history.pushState(null, "", address);
  }
  restoring = null;
  arriving = !samePage;
  show();
  if (!samePage) scrollTo(0, 0);
}

/** Changes choices in the address: a value per name, null to leave it out. */
export function navigateWith(changes, { replace = false } = {}) {
  const search = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") search.delete(name);
    else search.set(name, value);
  }
  // Commas are what separates several values, and stay readable.
  const text = search.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  navigate(location.pathname + (text === "" ? "" : `?${text}`), { replace });
}

/** A link within the site; clicks with a modifier key do what they do everywhere. */
export function Link({ href, children, ...rest }) {
  function follow(event) {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented) return;
    event.preventDefault();
    navigate(href);
  }
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}

/** Sets the title of the document; each page calls it with what it shows. */
export function useTitle(title) {
  useEffect(() => {
    globalThis.document.title = title === "" ? "Client Health" : `${title} · Client Health`;
  }, [title]);
}

// Where to scroll to once the page has its content back; null when there is nothing to restore.
let restoring = history.state?.scroll ?? null;

/** Scrolls to where the person was when Back or Forward led here, once `ready`: a page of skeletons is too short. */
export function useScrollRestoration(ready) {
  const { path, search } = useLocation();
  useEffect(() => {
    if (!ready || restoring === null) return;
    scrollTo(0, restoring);
    restoring = null;
  }, [ready, path, search.toString()]);
}

function rememberScroll() {
  // The page grows and shrinks while it loads, which is not the person's scrolling.
  if (restoring === null) history.replaceState({ scroll: scrollY }, "");
}

let arriving = false;

/** The main heading of a page, which takes the focus after a navigation, so that screen readers start there. */
export function PageHeading({ children, ...rest }) {
  const heading = useRef(null);
  useEffect(() => {
    if (!arriving) return;
    arriving = false;
    heading.current.focus({ preventScroll: true });
  });
  useLayoutEffect(() => {
    const element = heading.current;
    // A heading that stood in for this one while the page loaded hands the focus on.
    return () => {
      arriving ||= document.activeElement === element;
    };
  }, []);
  return html`<h1 tabindex="-1" ref=${heading} ...${rest}>${children}</h1>`;
}

let shownPath = location.pathname;
addEventListener("popstate", () => {
  arriving = location.pathname !== shownPath;
  restoring = history.state?.scroll ?? 0;
  show();
});

// Back leaves without a word, so the position is kept while the person scrolls, once things are still.
let still = 0;
addEventListener(
  "scroll",
  () => {
    clearTimeout(still);
    still = setTimeout(rememberScroll, 150);
  },
  { passive: true },
);

function show() {
  shownPath = location.pathname;
  for (const update of listeners) update();
}
