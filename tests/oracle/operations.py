"""What a front end sends: the operations of the contract."""

HEALTH = """
fragment Health on HealthScore {
  score
  trafficLight
  trend
  trendDelta
  riskLevel
  coverage
  calculatedAt
  components {
    key
    label
    weight
    score
    trafficLight
    measured
    contribution
  }
}
"""

PORTFOLIO = (
    """
query Portfolio(
  $filter: ClientFilter
  $orderBy: ClientOrder = { field: SCORE, direction: DESC }
  $first: Int = 50
  $after: String
) {
  portfolioSummary(filter: $filter) {
    total
    green
    amber
    red
    unscored
    calculatedAt
  }
  clients(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    totalCount
    pageInfo {
      hasNextPage
      hasPreviousPage
      startCursor
      endCursor
    }
    edges {
      cursor
      node {
        ...HealthCard
      }
    }
  }
}

fragment HealthCard on Client {
  id
  name
  size
  industry
  engagementModel
  owner
  renewalDate
  alertsEnabled
  lastActivityAt
  health {
    ...Health
  }
}
"""
    + HEALTH
)

CLIENT_DETAIL = """
query ClientDetail($id: ID!, $days: Int = 30, $historyDays: Int = 90) {
  client(id: $id) {
    id
    name
    size
    industry
    engagementModel
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
      calculatedAt
      components {
        key
        label
        weight
        score
        trafficLight
        measured
        contribution
        explanation
      }
    }
    healthHistory(days: $historyDays) {
      date
      score
      trafficLight
      trend
      riskLevel
    }
    usage(days: $days) {
      daily {
        date
        logins
        casesCreated
        casesResolved
        campaignResponses
      }
      summary {
        totalLogins
        uniqueUsers
        avgSessionMinutes
        peakDay
      }
    }
    featureAdoption {
      enabledCount
      usedCount
      adoptionRate
    }
    features {
      key
      name
      category
      enabled
      adopted
      firstUsedAt
      lastUsedAt
    }
    recentActivity(first: 20) {
      edges {
        node {
          occurredAt
          kind
          description
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
"""

METRIC_HISTORY = """
query MetricHistory($id: ID!, $metric: MetricType!, $days: Int = 30) {
  client(id: $id) {
    id
    metricHistory(metric: $metric, days: $days) {
      date
      value
      changePercent
    }
  }
}
"""

BENCHMARKS = """
query Benchmarks($size: ClientSize, $industry: Industry, $clientId: ID) {
  benchmarks(size: $size, industry: $industry, clientId: $clientId) {
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
}
"""

RECENT_ACTIVITY = """
query RecentActivity($id: ID!, $first: Int!, $after: String) {
  client(id: $id) {
    recentActivity(first: $first, after: $after) {
      edges {
        node {
          occurredAt
          kind
          description
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
"""
