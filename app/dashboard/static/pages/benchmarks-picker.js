/** A field to choose a client by name: the combobox with a list, by the pattern of the ARIA practices. */

import { gql } from "../api.js";
import { counted, label } from "../format.js";
import { html, useEffect, useId, useRef, useState } from "../html.js";
import { useQuery, useSettled } from "../query.js";
import { Icon } from "../ui.js";

const FOUND = gql`
  query FindClients($search: String) {
    clients(filter: { search: $search }, orderBy: { field: NAME, direction: ASC }, first: 8) {
      totalCount
      edges {
        node {
          id
          name
          size
          industry
        }
      }
    }
  }
`;

const SETTLED_MS = 200;

/** `chosen` is the client that is selected, or null; `onChoose(id)` is called with another one's id, or null for none. */
export function ClientPicker({ chosen, onChoose }) {
  const [text, setText] = useState(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const field = useRef(null);
  const id = useId();

  const typed = text ?? chosen?.name ?? "";
  // Opening the list of a chosen client offers all clients, not only itself.
  const search = useSettled(text === null ? "" : text.trim(), SETTLED_MS);
  const { data, error, loading, refetch } = useQuery(open ? FOUND : null, { search });
  const found = open && data ? data.clients.edges.map((edge) => edge.node) : [];

  useEffect(() => setActive(-1), [search, open]);
  useEffect(() => {
    // While the page does not know the client yet, the name that was chosen is all there is to show.
    if (chosen !== null) setText(null);
  }, [chosen?.id]);
  useEffect(() => {
    document.getElementById(`${id}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active]);

  function close() {
    setOpen(false);
    setText(null);
  }

  function choose(client) {
    setOpen(false);
    // Its name stands there until the page knows the client as the chosen one.
    setText(client.name);
    if (client.id !== chosen?.id) onChoose(client.id);
  }

  function clear() {
    close();
    onChoose(null);
    field.current.focus();
  }

  function onKeyDown(event) {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      const step = key === "ArrowDown" ? 1 : -1;
      if (!open) setOpen(true);
      else if (found.length > 0) setActive(active === -1 && step === -1 ? found.length - 1 : (active + step + found.length) % found.length);
    } else if (key === "Enter" && open && found[active]) {
      event.preventDefault();
      choose(found[active]);
    } else if (key === "Escape") {
      event.preventDefault();
      if (open) close();
      else if (chosen) clear();
    }
  }

  return html`
    <div class="picker">
      <label class="field-name" for=${id}>Client</label>
      <div class="search">
        <${Icon} name="search" />
        <input
          id=${id}
          ref=${field}
          type="text"
          role="combobox"
          aria-autocomplete="list"
          aria-expanded=${String(open)}
          aria-controls="${id}-list"
          aria-activedescendant=${open && active >= 0 ? `${id}-${active}` : undefined}
          placeholder="Choose a client by name"
          autocomplete="off"
          spellcheck=${false}
          maxlength="200"
          value=${typed}
          onInput=${(event) => {
            setText(event.currentTarget.value);
            setOpen(true);
          }}
          onClick=${() => setOpen(true)}
          onFocus=${(event) => event.currentTarget.select()}
          onBlur=${() => open && close()}
          onKeyDown=${onKeyDown}
        />
        ${chosen !== null &&
        html`<button type="button" class="icon-button" aria-label="Compare no client" onClick=${clear}><${Icon} name="close" /></button>`}
      </div>
      <div class="picker-panel" hidden=${!open} onPointerDown=${(event) => event.preventDefault()}>
        <ul id="${id}-list" role="listbox" aria-label="Clients">
          ${found.map(
            (client, index) => html`
              <li
                key=${client.id}
                id="${id}-${index}"
                role="option"
                aria-selected=${String(index === active)}
                onClick=${() => choose(client)}
                onPointerMove=${() => setActive(index)}
              >
                <span>${client.name}</span>
                <span class="quiet">${[client.size, client.industry].filter(Boolean).map(label).join(", ")}</span>
              </li>
            `,
          )}
        </ul>
        <p class="picker-words" role="status">${open && wordsOf({ data, error, loading, found, search })}</p>
        ${open && error && html`<button type="button" class="button" onClick=${refetch}>Try again</button>`}
      </div>
    </div>
  `;
}

function wordsOf({ data, error, loading, found, search }) {
  if (error) return error.message;
  if (!data) return loading ? "Searching" : null;
  const total = data.clients.totalCount;
  if (found.length === 0) return search === "" ? "There are no clients yet." : `No client's name contains “${search}”.`;
  return total > found.length ? `${counted(total, "client")}; type to narrow them down.` : `${counted(total, "client")}.`;
}
