/** What the portfolio asks, and how its choices stand in the address. */

import { askEarly, FRAME, gql } from "../api.js";

export const PAGE_SIZE = 50;

const CARD = gql`
  fragment Card on Client {
    id
    name
    size
    industry
    status
    owner
    renewalDate
    alertsEnabled
    alertsSnoozedUntil
    lastActivityAt
    health {
      score
      trafficLight
      trend
      trendDelta
      riskLevel
      coverage
    }
  }
`;

const MOVERS = gql`
  fragment Movers on ClientConnection {
    edges {
      node {
        id
        name
        health {
          score
          trafficLight
          trend
          trendDelta
        }
      }
    }
  }
`;

export const PORTFOLIO = gql`
  query Portfolio(
    $filter: ClientFilter
    $orderBy: ClientOrder
    $first: Int!
    $scope: ClientFilter!
    $fallen: ClientFilter!
    $risen: ClientFilter!
    $alerts: AlertFilter!
  ) {
    ...Frame
    owners
    feeds {
      kind
      lastReceivedAt
      status
      keptUntil
    }
    summary: portfolioSummary(filter: $filter) {
      total
      green
      amber
      red
      unscored
      calculatedAt
    }
    scopedAlerts: alerts(filter: $alerts, first: 1) {
      totalCount
    }
    fallen: portfolioSummary(filter: $fallen) {
      total
    }
    risen: portfolioSummary(filter: $risen) {
      total
    }
    lowestTrends: clients(filter: $scope, orderBy: { field: TREND, direction: ASC }, first: 4) {
      ...Movers
    }
    highestTrends: clients(filter: $scope, orderBy: { field: TREND, direction: DESC }, first: 4) {
      ...Movers
    }
    clients(filter: $filter, orderBy: $orderBy, first: $first) {
      totalCount
      pageInfo {
        hasNextPage
        endCursor
      }
      edges {
        node {
          ...Card
        }
      }
    }
  }
  ${FRAME}
  ${CARD}
  ${MOVERS}
`;

export const MORE_CLIENTS = gql`
  query MoreClients($filter: ClientFilter, $orderBy: ClientOrder, $first: Int!, $after: String!) {
    clients(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
      pageInfo {
        hasNextPage
        endCursor
      }
      edges {
        node {
          ...Card
        }
      }
    }
  }
  ${CARD}
`;

// The choices by their names in the address, with the constants of the API that they stand for.
export const CHOICES = {
  light: ["GREEN", "AMBER", "RED"],
  size: ["ENTERPRISE", "MIDMARKET", "SMB"],
  industry: ["FINANCIAL", "HEALTHCARE", "TECHNOLOGY", "MANUFACTURING", "OTHER"],
  risk: ["HIGH", "MEDIUM", "LOW"],
  trend: ["DECLINING", "STABLE", "IMPROVING"],
};

export const ORDERS = {
  score: { words: "Lowest score", field: "SCORE", direction: "ASC" },
  "score-desc": { words: "Highest score", field: "SCORE", direction: "DESC" },
  trend: { words: "Fell furthest", field: "TREND", direction: "ASC" },
  "trend-desc": { words: "Rose most", field: "TREND", direction: "DESC" },
  activity: { words: "Longest silent", field: "LAST_ACTIVITY", direction: "ASC" },
  "activity-desc": { words: "Latest activity", field: "LAST_ACTIVITY", direction: "DESC" },
  renewal: { words: "Earliest renewal", field: "RENEWAL_DATE", direction: "ASC" },
  "renewal-desc": { words: "Latest renewal", field: "RENEWAL_DATE", direction: "DESC" },
  name: { words: "Name, A to Z", field: "NAME", direction: "ASC" },
  "name-desc": { words: "Name, Z to A", field: "NAME", direction: "DESC" },
};

/** Whoever needs help comes first, unless the address says otherwise. */
export const DEFAULT_ORDER = "score";

/** Returns the choices that an address holds; what it holds beyond that, or misspelt, is left out. */
export function choicesIn(search) {
  const several = (name) => {
    const given = (search.get(name) ?? "").toUpperCase().split(",");
    return CHOICES[name].filter((value) => given.includes(value));
  };
  const alerts = search.get("alerts");
  const sort = search.get("sort");
  return {
    q: search.get("q") ?? "",
    light: several("light"),
    size: several("size"),
    industry: several("industry"),
    risk: several("risk"),
    trend: several("trend"),
    owner: search.get("owner") ?? "",
    alerts: alerts === "on" || alerts === "off" ? alerts : "",
    sort: sort !== null && Object.hasOwn(ORDERS, sort) ? sort : DEFAULT_ORDER,
  };
}

/** Returns the variables of PORTFOLIO for these choices. */
export function variablesOf(choices) {
  const scope = {};
  if (choices.size.length > 0) scope.size = choices.size;
  if (choices.industry.length > 0) scope.industry = choices.industry;
  if (choices.risk.length > 0) scope.riskLevel = choices.risk;
  if (choices.owner !== "") scope.owner = choices.owner;
  if (choices.alerts !== "") scope.alertsEnabled = choices.alerts === "on";
  const filter = { ...scope };
  if (choices.q.trim() !== "") filter.search = choices.q.trim();
  if (choices.light.length > 0) filter.trafficLight = choices.light;
  if (choices.trend.length > 0) filter.trend = choices.trend;
  const { field, direction } = ORDERS[choices.sort];
  return {
    filter,
    orderBy: { field, direction },
    first: PAGE_SIZE,
    // What moved is told of all that the person looks after, whichever lights, trends and names they pick out of it.
    scope,
    fallen: { ...scope, trend: ["DECLINING"] },
    risen: { ...scope, trend: ["IMPROVING"] },
    alerts: { status: ["OPEN"], owner: choices.owner || null },
  };
}

/** Returns whether anything but the order was chosen. */
export function isFiltered({ sort: _, ...choices }) {
  return Object.values(choices).some((value) => value.length > 0);
}

// The template runs this module before the others have come: the answer is on its way while they are.
if (location.pathname === "/") {
  askEarly(PORTFOLIO, variablesOf(choicesIn(new URLSearchParams(location.search))));
}
