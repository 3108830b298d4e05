"""The demo portfolio: believable facts made from a seed, and how they get into an empty database."""
