/** Queries as state of components: what was answered, what went wrong, and whether something is under way. */

import { ask, onChange } from "./api.js";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";

// Answers kept for Back and Forward, the latest ones.
const KEPT_ANSWERS = 30;
// A tab that was left alone for longer than this asks again when it is looked at.
const FRESH_MS = 120_000;
// A list of more pages than this gets a new first page only: nobody waits for a hundred requests.
const RELOADED_PAGES = 8;

const kept = new Map();

/**
 * Asks a query and returns `{data, error, loading, current, refetch}`.
 *
 * While other variables load, `data` stays what it was and `current` is false; a superseded request is aborted.
 * With `document` null nothing is asked. `refetch()` asks again and keeps the data meanwhile.
 */
export function useQuery(document, variables = {}) {
  const load = useCallback((_shown, signal) => ask(document, variables, { signal }), [questionOf(document, variables)]);
  const { answer, ...rest } = useAnswer(document === null ? null : questionOf(document, variables), load);
  return { data: answer, ...rest };
}

/**
 * Asks for a list page by page: `{first, pages, items, hasMore, loadMore, loadingMore, error, moreError, loading, ...}`.
 *
 * `first` is the data of the first page, asked with `document`; further pages are asked with `moreDocument` and the
 * variable `after`. `pick(data)` returns the connection, an object with `edges` and `pageInfo`. `pages` is a list of
 * items for each page, the same list as long as nothing in it changes, and `items` is all of them. An item that moved
 * from one page to the next in between is listed once.
 */
export function usePages(document, variables, pick, moreDocument = document) {
  const question = questionOf(document, variables);
  const load = useCallback(
    async (shown, signal) => {
      const long = shown !== undefined && shown.length > RELOADED_PAGES;
      const wanted = long ? 1 : (shown?.length ?? 1);
      const pages = [await ask(document, variables, { signal })];
      while (pages.length < wanted && pick(pages.at(-1)).pageInfo.hasNextPage) {
        pages.push(await ask(moreDocument, behind(variables, pick(pages.at(-1))), { signal }));
      }
      return long ? [...pages, ...shown.slice(1)] : pages;
    },
    [question],
  );
  const { answer: pages, replace, ...rest } = useAnswer(question, load);
  const [more, setMore] = useState({ question, loading: false, error: null });
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), [question]);

  async function loadMore() {
    if (pages === undefined || !rest.current || running.current !== null) return;
    const controller = new AbortController();
    running.current = controller;
    controller.signal.addEventListener("abort", () => {
      if (running.current === controller) running.current = null;
    });
    setMore({ question, loading: true, error: null });
    try {
      const page = await ask(moreDocument, behind(variables, pick(pages.at(-1))), { signal: controller.signal });
      replace(question, [...pages, page]);
      setMore({ question, loading: false, error: null });
    } catch (error) {
      if (error.name !== "AbortError") setMore({ question, loading: false, error });
    } finally {
      if (running.current === controller) running.current = null;
    }
  }

  const listed = useMemo(() => distinct((pages ?? []).map((page) => itemsOf(page, pick))), [pages]);
  return {
    ...rest,
    first: pages?.[0],
    pages: listed,
    get items() {
      return listed.flat();
    },
    hasMore: pages !== undefined && pick(pages.at(-1)).pageInfo.hasNextPage,
    loadMore,
    loadingMore: more.question === question && more.loading,
    moreError: more.question === question ? more.error : null,
  };
}

const known = new WeakMap();

/** Returns the items of a page, the same list for the same page. */
function itemsOf(page, pick) {
  if (!known.has(page)) known.set(page, pick(page).edges.map((edge) => edge.node));
  return known.get(page);
}

/** Returns the pages without the items that an earlier one has; a page without such items stays the same list. */
function distinct(pages) {
  const seen = new Set();
  return pages.map((items) => {
    const fresh = items.filter(({ id }) => !seen.has(id));
    for (const { id } of fresh) seen.add(id);
    return fresh.length === items.length ? items : fresh;
  });
}

/** Returns a value once it has stood still for so many milliseconds, for searching while somebody types. */
export function useSettled(value, milliseconds) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}

/** Returns the state of one question; `load(shown, signal)` answers it, `shown` being the answer of before. */
function useAnswer(question, load) {
  const [state, setState] = useState(() => ({ question, answer: kept.get(question)?.answer, error: null }));
  const [round, setRound] = useState(0);
  const [settledRound, setSettledRound] = useState(null);
  const askedAgain = useRef(false);
  const refetch = useCallback(() => {
    askedAgain.current = true;
    setRound((number) => number + 1);
  }, []);

  // Before the first paint: an answer that was asked for early is shown at once, without skeletons in between.
  useLayoutEffect(() => {
    if (question === null) return undefined;
    const before = kept.get(question);
    if (before !== undefined) setState({ question, answer: before.answer, error: null });
    const again = askedAgain.current;
    askedAgain.current = false;
    // Back within a short while shows what was there; everything else is asked.
    if (before !== undefined && !again && Date.now() - before.at < FRESH_MS) {
      setSettledRound(`${question} ${round}`);
      return undefined;
    }
    const controller = new AbortController();
    // An answer that was under way while something was changed here may not know of it.
    const settled = onChange(refetch);
    load(before?.answer, controller.signal).finally(settled).then(
      (answer) => {
        if (controller.signal.aborted) return;
        keep(question, answer);
        setState({ question, answer, error: null });
        setSettledRound(`${question} ${round}`);
      },
      (error) => {
        if (controller.signal.aborted || error.name === "AbortError") return;
        setState((present) => ({ question, answer: present.question === question ? present.answer : undefined, error }));
        setSettledRound(`${question} ${round}`);
      },
    );
    return () => {
      settled();
      controller.abort();
    };
  }, [question, round]);

  useEffect(() => {
    function seen() {
      if (!globalThis.document.hidden && Date.now() - (kept.get(question)?.at ?? 0) > FRESH_MS) refetch();
    }
    globalThis.document.addEventListener("visibilitychange", seen);
    return () => globalThis.document.removeEventListener("visibilitychange", seen);
  }, [question]);

  useEffect(
    () => onChange((object) => setState((present) => ({ ...present, answer: patched(present.answer, object) }))),
    [],
  );

  const replace = useCallback((of, answer) => {
    keep(of, answer);
    setState((present) => (present.question === of ? { ...present, answer } : present));
  }, []);

  return {
    answer: state.answer,
    error: state.error,
    loading: question !== null && settledRound !== `${question} ${round}`,
    current: state.question === question && state.answer !== undefined,
    refetch,
    replace,
  };
}

// What was changed here may show elsewhere, too: counts, orders, a score that is calculated anew. What was kept is shown
// on the way back, and asked for again.
onChange((object) => {
  for (const [question, { answer }] of kept) kept.set(question, { answer: patched(answer, object), at: 0 });
});

/** Has every kept answer asked for anew when it is shown next, as after a calculation that may have changed any. */
export function outdate() {
  for (const answered of kept.values()) answered.at = 0;
}

/** Returns an answer with an object's new values wherever the object appears; the same answer if it does not. */
export function patched(value, object) {
  if (value === null || typeof value !== "object" || object.id === undefined) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => patched(item, object));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  const copy = {};
  let differs = false;
  for (const [name, before] of Object.entries(value)) {
    const known = value.id === object.id && name in object && isAlike(before, object[name]);
    copy[name] = known ? object[name] : patched(before, object);
    differs ||= copy[name] !== before;
  }
  return differs ? copy : value;
}

/** Returns whether the values are plain or have the same fields: others may have been asked for differently. */
function isAlike(before, now) {
  const isPlain = before === null || typeof before !== "object";
  return isPlain || (!Array.isArray(before) && now !== null && Object.keys(before).join() === Object.keys(now).join());
}

function keep(question, answer) {
  kept.delete(question);
  kept.set(question, { answer, at: Date.now() });
  if (kept.size > KEPT_ANSWERS) kept.delete(kept.keys().next().value);
}

function behind(variables, connection) {
  return { ...variables, after: connection.pageInfo.endCursor };
}

function questionOf(document, variables) {
  return JSON.stringify([document, variables]);
}
