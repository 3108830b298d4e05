"""What a front end sends: the operations of the contract, and one that pages on through the activity."""

from tests.contract import OPERATIONS

PORTFOLIO = OPERATIONS["Portfolio"]
CLIENT_DETAIL = OPERATIONS["ClientDetail"]
METRIC_HISTORY = OPERATIONS["MetricHistory"]
BENCHMARKS = OPERATIONS["Benchmarks"]

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
