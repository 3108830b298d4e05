/** The view library in one place: `html` for markup, and the hooks that the pages use. */

import { Component, createContext, h, options, render } from "./vendor/preact.js";
import {
  useCallback,
  useContext,
  useEffect,
  useErrorBoundary,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

/** Markup in a template string, as in html`<p class="lead">${text}</p>`. Values are text, never parsed as HTML. */
export const html = htm.bind(h);

export {
  Component,
  createContext,
  h,
  options,
  render,
  useCallback,
  useContext,
  useEffect,
  useErrorBoundary,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
};

/** Joins class names and leaves out what is false, null or empty. */
export function classes(...names) {
  return names.filter(Boolean).join(" ");
}
