"""What an operator can set, read once at start from environment variables named PAYSAGA_*."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "PAYSAGA_"

# Written by `paysaga dev` into <data-dir>/env for other programs; no setting of ours.
FOREIGN_NAMES = frozenset({"PAYSAGA_API_URL"})

SECRET_LENGTH_MIN = 16


def _listed(secrets: SecretStr) -> list[str]:
    return [secret.strip() for secret in secrets.get_secret_value().split(",")]


def _long_enough(secrets: SecretStr | None) -> SecretStr | None:
    if secrets is not None and any(len(secret) < SECRET_LENGTH_MIN for secret in _listed(secrets)):
        raise ValueError(f"each secret needs at least {SECRET_LENGTH_MIN} characters")
    return secrets


class Settings(BaseSettings):
    """One process's settings. The connection to Temporal is not here: it comes from Temporal's own TEMPORAL_*
    variables and profiles (https://docs.temporal.io/develop/environment-configuration)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    database_url: Annotated[str, Field(description="PostgreSQL, as postgresql://user:password@host:port/name")]
    # The owner of the tables, where the service logs in as somebody who may change little: see docs/deploying.md.
    migration_database_url: Annotated[
        str | None, Field(description="The same database as its owner, for `paysaga migrate`")
    ] = None
    processor_url: Annotated[str, Field(description="Base URL of the payment processor")]
    api_key: Annotated[SecretStr, Field(min_length=SECRET_LENGTH_MIN, description="The Bearer key that clients send")]
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    # What the processor signs its webhooks with. Several while it is replaced: any of them will do. Without one no
    # webhooks are taken, and what they would have told is found later.
    webhook_secret: Annotated[
        SecretStr | None,
        AfterValidator(_long_enough),
        Field(description="What the processor signs its webhooks with; several are separated by commas"),
    ] = None

    # An ordinary capture takes 1-3 s at a card network. A deadline that passes costs a look-up, never money. The upper
    # limit leaves room for that look-up within one try (activities/options.py).
    processor_timeout_seconds: Annotated[float, Field(gt=0, le=6)] = 5.0
    # How long the processor remembers a key (Stripe: at least 24 hours). Beyond it we only look up.
    processor_key_window_seconds: Annotated[int, Field(gt=3600)] = 24 * 3600
    # How long a charged payment's workflow waits for refund requests, which signals and the Web UI need; afterwards a
    # refund over HTTP wakes it. Most refunds come within a month. 0: not at all.
    quiet_period_seconds: Annotated[int, Field(ge=0, le=3650 * 24 * 3600)] = 30 * 24 * 3600
    # How often the processor's record is compared with the books. 0: only when somebody runs `paysaga reconcile`.
    reconcile_every_seconds: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] = 600
    # Connections of one process; PostgreSQL's default limit is 100 for all of them.
    database_connections: Annotated[int, Field(ge=1, le=100)] = 10

    # For trying things out: endpoints on this machine, also without TLS. Whoever may add endpoints could have us send
    # requests into our own network, and read the replies.
    webhooks_to_private_addresses: bool = False

    @property
    def owner_url(self) -> str:
        """Whom `paysaga migrate` connects as."""
        return self.migration_database_url or self.database_url

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """All that the processor may sign with now."""
        return tuple(secret.encode() for secret in _listed(self.webhook_secret)) if self.webhook_secret else ()

    @property
    def processor_key_window(self) -> timedelta:
        """How long the processor answers a repeated key with the first result."""
        return timedelta(seconds=self.processor_key_window_seconds)

    @property
    def reconcile_every(self) -> timedelta:
        """How often the processor's record is compared with the books; nothing: never by itself."""
        return timedelta(seconds=self.reconcile_every_seconds)

    @property
    def quiet_period(self) -> timedelta:
        """How long a charged payment stays open for refund requests."""
        return timedelta(seconds=self.quiet_period_seconds)


def unknown_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """PAYSAGA_* variables that no setting reads, most likely misspelt: pydantic-settings doesn't notice these."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | FOREIGN_NAMES
    given = os.environ if environ is None else environ
    return sorted(name for name in given if name.startswith(PREFIX) and name not in known)
