/**
 * The one way to the server: GraphQL over POST, with the session cookie that the browser adds by itself.
 *
 * The cookie works for requests of this very page only, so none of them says who is asking.
 */

const ENDPOINT = "/graphql";
const NOT_ANSWERED = "The server does not answer. Check your connection and try again.";
const NOT_UNDERSTOOD = "The server's answer could not be read. Try again in a moment.";

/** What went wrong with a request: `code` for the page, `message` for the person, `requestId` for the log. */
export class ApiError extends Error {
  constructor(code, message, requestId = null) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.requestId = requestId;
  }
}

/** Marks a GraphQL document, so that editors and tests find it. Fragments may be put in as ${FRAGMENT}. */
export function gql(strings, ...parts) {
  return String.raw({ raw: strings }, ...parts);
}

/** What the frame around every page shows; every page's document includes it as `...Frame`. */
export const FRAME = gql`
  fragment Frame on Query {
    viewer {
      subject
      role
    }
    openAlerts: alerts(filter: { status: [OPEN], held: false }, first: 1) {
      totalCount
    }
  }
`;

const listeners = new Set();

/** Has `listener` told of each object that a mutation has changed; returns a function that ends it. */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let early = null;

/** Sends a query before the page that needs it has loaded; the first `ask` with the same question gets the answer. */
export function askEarly(document, variables) {
  const answer = post(document, variables, undefined);
  // Nobody may be listening yet when it fails: the `ask` that takes the answer over gets the error.
  answer.catch(() => {});
  early = { key: questionOf(document, variables), answer };
}

/**
 * Returns the data of a query. Throws ApiError, with code OFFLINE if nothing answers.
 *
 * A request that `signal` aborts throws the AbortError of `fetch`. Without a session the person is led to sign in.
 */
export async function ask(document, variables = {}, { signal } = {}) {
  const prepared = early;
  early = null;
  if (prepared !== null && prepared.key === questionOf(document, variables)) {
    const data = await prepared.answer;
    signal?.throwIfAborted();
    return data;
  }
  return post(document, variables, signal);
}

/**
 * Carries out a mutation and returns the object of its one field. Throws ApiError for a typed refusal as well.
 *
 * The document must select `__typename` and `... on Error { code message }` beside the object.
 */
export async function change(document, variables = {}) {
  const data = await post(document, variables, undefined);
  const [result] = Object.values(data);
  if (result.code !== undefined && result.message !== undefined && result.__typename?.endsWith("Error")) {
    throw signedOutOr(new ApiError(result.code, result.message));
  }
  for (const listener of listeners) listener(result);
  return result;
}

/** Returns the error that the body of an answer tells of, or null if it tells of none. */
export function errorIn(payload, requestId = null) {
  const error = payload?.errors?.[0];
  if (error === undefined) return null;
  const extensions = error.extensions ?? {};
  return new ApiError(extensions.code ?? "INTERNAL", error.message, extensions.requestId ?? requestId);
}

/** Leads a person without a session to the sign-in page, and back to this one afterwards; returns the error. */
export function signedOutOr(error) {
  if (error.code === "UNAUTHENTICATED" && location.pathname !== "/sign-in") {
    // All of the address: a path that begins with two slashes would, alone, name another site.
    sessionStorage.setItem("wanted", location.href);
    location.replace("/sign-in");
  }
  return error;
}

async function post(query, variables, signal) {
  let response;
  let payload;
  try {
    response = await fetch(ENDPOINT, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query, variables }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("OFFLINE", NOT_ANSWERED);
  }
  const requestId = response.headers.get("X-Request-ID");
  try {
    payload = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A proxy's own page says nothing that a person could use.
    throw new ApiError(response.status >= 500 ? "UNAVAILABLE" : "INTERNAL", NOT_UNDERSTOOD, requestId);
  }
  const error = errorIn(payload, requestId);
  if (error !== null) throw signedOutOr(error);
  return payload.data;
}

function questionOf(document, variables) {
  return JSON.stringify([document, variables]);
}
