"""The secrets that webhooks are signed with: set by an operator, replaced without losing one, never weak."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from paysaga.dev.data_dir import DataDir
from paysaga.dev.services import telling
from paysaga.services import webhook_readers
from paysaga.settings import Settings
from sandbox.options import listener, read

NEW, OLD = "whsec_0123456789abcdef", "whsec_fedcba9876543210"


def settings(secret: str | None) -> Settings:
    return Settings(
        database_url="postgresql://u:p@127.0.0.1/d",
        processor_url="http://127.0.0.1:1",
        api_key=SecretStr("k" * 16),
        webhook_secret=None if secret is None else SecretStr(secret),
    )


def test_without_a_secret_nobody_s_webhooks_are_taken() -> None:
    assert webhook_readers(settings(None)) == {}


@pytest.mark.parametrize("secret", [NEW, f"{NEW},{OLD}", f"{NEW} , {OLD}"])
def test_every_listed_secret_will_do(secret: str) -> None:
    assert settings(secret).webhook_secrets == tuple(each.encode() for each in (NEW, OLD) if each in secret)
    assert set(webhook_readers(settings(secret))) == {"sandbox"}


@pytest.mark.parametrize("secret", ["", "short", f"{NEW},", f"{NEW},short", "," * 20, " " * 20])
def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(secret)
    (error,) = refused.value.errors(include_input=False)
    assert (error["loc"], "at least 16 characters" in error["msg"]) == (("webhook_secret",), True)
    assert "short" not in error["msg"]


def test_a_secret_is_not_shown_with_the_settings() -> None:
    assert NEW not in repr(settings(NEW))


def test_the_dev_stack_keeps_its_secret_for_the_next_start(tmp_path: Path) -> None:
    secret = DataDir(tmp_path).webhook_secret()
    assert DataDir(tmp_path).webhook_secret() == secret
    assert settings(secret).webhook_secrets == (secret.encode(),)
    assert (tmp_path / "webhook-secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damaged", ["", "short", "a,b" * 10])
def test_the_dev_stack_makes_a_new_secret_when_the_file_holds_none(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "webhook-secret").write_text(damaged, encoding="utf-8")
    secret = DataDir(tmp_path).webhook_secret()
    assert secret.startswith("whsec_")
    assert DataDir(tmp_path).webhook_secret() == secret


def test_the_sandbox_understands_the_flags_that_it_is_given() -> None:
    options = read(["--data", "s.sqlite", *telling(8090, 8080)])
    assert options.public_url == "http://127.0.0.1:8090"
    told = listener(options, {"SANDBOX_WEBHOOK_SECRET": NEW})
    assert told is not None
    assert told.url == "http://127.0.0.1:8080/v1/webhooks/sandbox"
