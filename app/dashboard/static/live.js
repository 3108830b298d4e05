/**
 * Live updates: GraphQL subscriptions as server-sent events over `fetch`, which can POST where EventSource cannot.
 *
 * A subscription reconnects by itself. What happened in between is not sent again, so after each reconnect, and after
 * a first connection that had to wait, its owner is told to ask anew (`resync`). While the tab is hidden the connection
 * is closed: a browser has six connections to a server over all of its tabs, and streams that nobody sees would take
 * them from pages that somebody does.
 */

import { ApiError, errorIn, signedOutOr } from "./api.js";
import { useEffect, useRef, useState } from "./html.js";

const ENDPOINT = "/graphql/stream";
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
// The server sends a comment every 15 seconds; a connection silent for longer than this is dead.
const SILENCE_MS = 40_000;
// Refusals that the same request would only meet again.
const FINAL = new Set(["UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND", "INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED"]);

const open = new Map();
const watchers = new Set();

/**
 * Subscribes, and returns a function that ends it.
 *
 * `next(data)` gets each event, `connected()` is called when the first attempt succeeds at once and `resync()` after
 * every later connection, `complete()` when the server has ended the subscription, `failed(error)` when it refuses for
 * good, and `status(state)` says "live" or "offline".
 */
export function subscribe(document, variables, { next, connected: first, resync, complete, failed, status } = {}) {
  const key = Symbol("subscription");
  let attempts = 0;
  let connected = false;
  let waited = false;
  let ended = false;
  let connection = null;
  let timer = 0;

  function tell(state) {
    connected = state === "live";
    report(key, state);
    status?.(state);
  }

  async function connect() {
    clearTimeout(timer);
    if (ended || connection !== null) return;
    const late = waited;
    waited = true;
    if (globalThis.document.hidden) return;
    const controller = new AbortController();
    connection = controller;
    try {
      await read(document, variables, controller, {
        opened() {
          attempts = 0;
          tell("live");
          if (late) resync?.();
          else first?.();
        },
        next(payload) {
          const error = errorIn(payload);
          if (error !== null) throw error;
          next?.(payload.data);
        },
      });
      end();
      complete?.();
    } catch (error) {
      if (connection !== controller) return;
      connection = null;
      if (error instanceof ApiError && FINAL.has(error.code)) {
        end();
        signedOutOr(error);
        failed?.(error);
        return;
      }
      if (error.name !== "AbortError" && !(error instanceof ApiError)) console.error(error);
      if (globalThis.document.hidden) return;
      tell("offline");
      timer = setTimeout(connect, delay(attempts++));
    }
  }

  function pause() {
    clearTimeout(timer);
    const paused = connection;
    connection = null;
    paused?.abort();
  }

  function seen() {
    if (globalThis.document.hidden) pause();
    else connect();
  }

  function retry() {
    attempts = 0;
    if (!connected) connect();
  }

  /** A connection may stay silent for long after the network has gone; the browser knows at once. */
  function lost() {
    connection?.abort();
  }

  function end() {
    ended = true;
    pause();
    report(key, null);
    globalThis.document.removeEventListener("visibilitychange", seen);
    removeEventListener("online", retry);
    removeEventListener("offline", lost);
  }

  globalThis.document.addEventListener("visibilitychange", seen);
  addEventListener("online", retry);
  addEventListener("offline", lost);
  connect();
  return end;
}

/** Subscribes as long as the component is shown and `document` is not null; handlers may change between renders. */
export function useSubscription(document, variables, handlers) {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    if (document === null) return undefined;
    const forward = (name) => (...values) => latest.current[name]?.(...values);
    const names = ["next", "connected", "resync", "complete", "failed", "status"];
    return subscribe(document, variables, Object.fromEntries(names.map((name) => [name, forward(name)])));
  }, [document, JSON.stringify(variables)]);
}

/** Returns "live", "offline", or null while nothing is subscribed. */
export function useConnection() {
  const [state, setState] = useState(connectionState);
  useEffect(() => {
    const update = () => setState(connectionState());
    watchers.add(update);
    update();
    return () => watchers.delete(update);
  }, []);
  return state;
}

function connectionState() {
  const states = [...open.values()];
  if (states.length === 0) return null;
  return states.includes("offline") ? "offline" : "live";
}

function report(key, state) {
  if (state === null) open.delete(key);
  else open.set(key, state);
  for (const update of watchers) update();
}

/** Returns the milliseconds to wait, doubling with each attempt, spread so that pages do not return all at once. */
function delay(attempt) {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * (0.5 + Math.random() / 2);
}

/** Reads one connection to its end. Throws when it breaks, and returns when the server says that it is complete. */
async function read(query, variables, controller, { opened, next }) {
  let silence = setTimeout(() => controller.abort(), SILENCE_MS);
  try {
    let response;
    try {
      response = await fetch(ENDPOINT, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
        body: JSON.stringify({ query, variables }),
        signal: controller.signal,
      });
    } catch (error) {
      throw asOffline(error);
    }
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      throw (await refusalIn(response)) ?? new ApiError("OFFLINE", "The live connection was refused.");
    }
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw asOffline(error);
      });
      if (done) throw new ApiError("OFFLINE", "The live connection ended.");
      clearTimeout(silence);
      silence = setTimeout(() => controller.abort(), SILENCE_MS);
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        const { name, data } = parse(event);
        if (name === "complete") return;
        if (name === "next") next(JSON.parse(data));
      }
    }
  } finally {
    clearTimeout(silence);
    controller.abort();
  }
}

function asOffline(error) {
  return error.name === "AbortError" ? error : new ApiError("OFFLINE", error.message);
}

async function refusalIn(response) {
  try {
    return errorIn(await response.json(), response.headers.get("X-Request-ID"));
  } catch {
    // A proxy's page instead of JSON: the caller says that the connection was refused, and tries again.
    return null;
  }
}

/** Returns the name and the data of one server-sent event; comments have neither. */
function parse(event) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return { name, data: data.join("\n") };
}
