"""The API. The enums come first: a type that used one before it was published would make a second one of it."""

import app.graphql.enums  # noqa: F401
