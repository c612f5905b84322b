"""Logs: JSON lines for machines, readable lines on a terminal. What requests hold is never logged."""

import logging
import sys

import structlog
from temporalio.exceptions import ApplicationError


class _ExpectedFailures(logging.Filter):
    """An outage or an unknown outcome is one line that says so, not a stack trace: it is retried and no bug."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError):
            record.msg, record.args = f"{record.getMessage().partition(' (')[0]}: {error}", ()
            record.exc_info = None
        return True


def configure(level: int = logging.INFO) -> None:
    """Send our own and all libraries' log records to standard error in one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow={"temporal_activity", "temporal_workflow"}),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_ExpectedFailures())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # One line for each poll, request and connection tells nothing.
    for noisy in ("httpx", "asyncio", "temporalio.worker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
