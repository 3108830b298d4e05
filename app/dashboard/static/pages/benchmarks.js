/** How a group of peers does, and where one client stands among them. */

import { gql } from "../api.js";
import { PercentileScale } from "../charts/scale.js";
import { counted, date, label, number } from "../format.js";
import { FRAME, useFrame } from "../frame.js";
import { classes, html } from "../html.js";
import { useQuery } from "../query.js";
import { Link, navigateWith, PageHeading, useLocation, useScrollRestoration, useTitle } from "../router.js";
import { Button, Empty, Failure, Select, Skeleton } from "../ui.js";
import { ClientPicker } from "./benchmarks-picker.js";

const GROUP = gql`
  fragment Group on PeerBenchmarks {
    size
    industry
    minimumPeers
    peerCount
    available
    unavailableReason
    asOf
    metrics {
      key
      label
      unit
      lowerIsBetter
      peerCount
      p25
      median
      p75
      clientValue
      clientPercentile
    }
  }
`;

const PEERS = gql`
  query PeerGroup($size: ClientSize, $industry: Industry) {
    ...Frame
    benchmarks(size: $size, industry: $industry) {
      ...Group
    }
  }
  ${FRAME}
  ${GROUP}
`;

const PEERS_OF_CLIENT = gql`
  query Benchmarks($size: ClientSize, $industry: Industry, $client: ID!) {
    ...Frame
    client(id: $client) {
      id
      name
      size
      industry
    }
    benchmarks(size: $size, industry: $industry, clientId: $client) {
      ...Group
    }
  }
  ${FRAME}
  ${GROUP}
`;

const SIZES = ["ENTERPRISE", "MIDMARKET", "SMB"];
const INDUSTRIES = ["FINANCIAL", "HEALTHCARE", "TECHNOLOGY", "MANUFACTURING", "OTHER"];
const UNKNOWN = new Set(["NOT_FOUND", "INVALID_INPUT"]);

/** The page, whose choices are all in the address. */
export default function BenchmarksPage() {
  const { search } = useLocation();
  const size = chosen(SIZES, search.get("size"));
  const industry = chosen(INDUSTRIES, search.get("industry"));
  const client = search.get("client") || null;
  const variables = client === null ? { size, industry } : { size, industry, client };
  const { data, error, current, refetch } = useQuery(client === null ? PEERS : PEERS_OF_CLIENT, variables);
  useFrame(data);
  useTitle("Benchmarks");
  useScrollRestoration(data !== undefined);
  const unknown = client !== null && UNKNOWN.has(error?.code);
  // Until the answer for a newly chosen client is there, the name of the one before would be wrong.
  const known = client !== null && data?.client?.id === client ? data.client : null;

  return html`
    <div class="page benchmarks">
      <div>
        <${PageHeading}>Benchmarks<//>
        <p class="quiet">Where a client stands among its peers. A group of fewer than five is never shown.</p>
      </div>
      <div class="benchmarks-choices">
        <${ClientPicker} chosen=${known} onChoose=${(id) => navigateWith({ client: id })} />
        <${Select}
          name="Size of peers"
          value=${size ?? ""}
          options=${[["", "Any size"], ...SIZES.map((one) => [one, label(one)])]}
          onChange=${(value) => navigateWith({ size: small(value) })}
        />
        <${Select}
          name="Industry of peers"
          value=${industry ?? ""}
          options=${[["", "Any industry"], ...INDUSTRIES.map((one) => [one, label(one)])]}
          onChange=${(value) => navigateWith({ industry: small(value) })}
        />
      </div>
      ${unknown && html`<${UnknownClient} />`}
      ${error && !unknown && html`<${Failure} title="The benchmarks could not be loaded" error=${error} retry=${refetch} />`}
      ${!data && !error && html`<${Placeholder} />`}
      ${data &&
      !error &&
      html`<div class=${classes("benchmarks-answer", !current && "is-old")} aria-busy=${String(!current)}>
        <${Group} group=${data.benchmarks} client=${data.client ?? null} />
      </div>`}
    </div>
  `;
}

function Group({ group, client }) {
  const { peerCount, asOf, size, industry } = group;
  const words = [size ? label(size) : "any size", industry ? label(industry) : "any industry"];
  if (asOf) words.push(`scored up to ${date(asOf)}`);
  const own = client === null ? [] : [client.size, client.industry].filter(Boolean);
  const similar = client === null || (client.size === size && client.industry === industry);
  return html`
    <div class="benchmarks-group">
      <p role="status">
        <strong>${counted(peerCount, "peer")}</strong> · ${words.join(" · ")}
        ${client &&
        html`<br /><span class="quiet"><${Link} href=${`/clients/${client.id}`}>${client.name}<//> itself is not counted.</span>`}
      </p>
      ${!similar &&
      html`<${Button} onClick=${() => navigateWith({ size: small(client.size), industry: small(client.industry) })}>
        Compare with ${own.map(label).join(", ")} only
      <//>`}
    </div>
    ${group.available
      ? html`<div class="metrics">
          ${group.metrics.map(
            (metric) => html`<${Metric} key=${metric.key} metric=${metric} minimum=${group.minimumPeers} client=${client} />`,
          )}
        </div>`
      : html`<${TooFew} group=${group} />`}
  `;
}

/** Why there are no figures, and which choices would bring some. */
function TooFew({ group: { size, industry, unavailableReason } }) {
  return html`
    <section class="card too-few" aria-labelledby="too-few">
      <h2 id="too-few">Too few peers to compare with</h2>
      <p>${unavailableReason}</p>
      <div class="too-few-ways">
        ${size && industry && html`<${Button} onClick=${() => navigateWith({ size: null })}>Any size in ${label(industry)}<//>`}
        ${size && industry && html`<${Button} onClick=${() => navigateWith({ industry: null })}>${label(size)} in any industry<//>`}
        ${(size || industry) &&
        html`<${Button} kind="primary" onClick=${() => navigateWith({ size: null, industry: null })}>All clients<//>`}
      </div>
    </section>
  `;
}

function Metric({ metric, minimum, client }) {
  const { key, unit, lowerIsBetter, peerCount, p25, median, p75, clientValue, clientPercentile } = metric;
  const format = (value) => (unit === "%" ? `${number(value)} %` : `${number(value)} ${value === 1 ? "day" : unit}`);
  const enough = median !== null;
  return html`
    <section class="card metric" aria-labelledby=${key}>
      <div class="metric-head">
        <h2 id=${key}>${metric.label}</h2>
        <p class="quiet">${lowerIsBetter ? "Lower is better" : "Higher is better"}</p>
      </div>
      ${enough
        ? html`
            <${Standing} metric=${metric} client=${client} format=${format} />
            <${PercentileScale}
              title=${metric.label}
              lowerIsBetter=${lowerIsBetter}
              percent=${unit === "%"}
              p25=${p25}
              median=${median}
              p75=${p75}
              value=${clientValue}
              name=${client?.name}
              format=${format}
            />
          `
        : html`<p class="metric-none">
            ${counted(peerCount, "peer")} ${peerCount === 1 ? "has" : "have"} this metric, and it takes ${minimum} to
            compare. Choose a broader size or industry.
          </p>`}
    </section>
  `;
}

/** The client's value and what it is worth among the peers, in words. */
function Standing({ metric: { median, peerCount, clientValue, clientPercentile }, client, format }) {
  const peers = counted(peerCount, "peer");
  if (client === null) {
    return html`<p class="standing"><strong>${format(median)}</strong> <span>median of ${peers}</span></p>`;
  }
  if (clientValue === null) {
    return html`<p class="standing"><strong class="quiet">No value</strong> <span>nothing was measured; ${peers} have one</span></p>`;
  }
  return html`
    <p class="standing"><strong>${format(clientValue)}</strong> <span>better than ${clientPercentile} % of ${peers}</span></p>
  `;
}

function UnknownClient() {
  return html`
    <${Empty} title="There is no such client">
      <p>Choose one by its name above, or look at the group without a client.</p>
      <${Button} onClick=${() => navigateWith({ client: null })}>Show the group<//>
    <//>
  `;
}

function Placeholder() {
  return html`<div class="metrics">
    ${[1, 2, 3, 4].map((place) => html`<div key=${place} class="card metric"><${Skeleton} lines=${5} /></div>`)}
  </div>`;
}

/** Returns a constant of the API as it stands in the address. */
const small = (constant) => constant?.toLowerCase() ?? null;

function chosen(known, value) {
  const constant = (value ?? "").toUpperCase();
  return known.includes(constant) ? constant : null;
}
