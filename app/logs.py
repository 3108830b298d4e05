"""Structured logs: one line an event, with the request or run that it belongs to."""

import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def to_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    """Return the event as one line of JSON."""
    return orjson.dumps(event, default=str).decode()


def configure_logging(level: str) -> None:
    """Send events of `level` and above to standard error: readable on a terminal, JSON elsewhere.

    What libraries log through the standard library is written the same way.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: a terminal must not show what the variables held, secrets among them.
    render: list[Processor] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if not sys.stderr.isatty():
        render = [structlog.processors.format_exc_info, to_json]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
