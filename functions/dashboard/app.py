"""The dashboard: its static files, which need no key. What the page shows, it asks of the control API."""

from functools import cache
from pathlib import Path
from typing import Any

from pipeline.api import site
from pipeline.observability import logger, tracer
from pipeline.settings import DashboardSettings

_SITE = Path(__file__).with_name("site")


@cache
def _settings() -> DashboardSettings:
    return DashboardSettings.from_environment()


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One file."""
    settings = _settings()
    return site.answer(event, _SITE, predict_api_id=settings.predict_api_id, connect_origins=settings.connect_origins)
