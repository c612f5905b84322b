"""The `paysaga` command: the stack for this machine, and each process of production."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from paysaga.settings import Settings

_SETTINGS_WRONG = 2  # as for wrong arguments

app = typer.Typer(
    name="paysaga",
    help="A payment service: every payment is charged exactly once or not at all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_DATA_DIR_HELP = "Where the stack keeps everything: payments, keys, logs."
DataDirOption = Annotated[Path, typer.Option("--data-dir", help=_DATA_DIR_HELP)]


def _port(what: str) -> typer.models.OptionInfo:
    return typer.Option(min=0, max=65535, help=f"{what}; 0 takes any free one.")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"paysaga {version('paysaga')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def dev(
    data_dir: DataDirOption = Path(".paysaga"),
    api_port: Annotated[int, _port("Port of the HTTP API")] = 8080,
    temporal_port: Annotated[int, _port("Port of the Temporal server")] = 7233,
    ui_port: Annotated[int, _port("Port of Temporal's Web UI")] = 8233,
    processor_port: Annotated[int, _port("Port of the sandbox processor")] = 8090,
    api_key: Annotated[
        str | None, typer.Option(help="Key that clients send. By default the one of the last start, or a new one.")
    ] = None,
) -> None:
    """Run everything on this machine: PostgreSQL, Temporal, a sandbox processor, worker and API.

    Prints where everything is and a payment to paste. Ctrl-C stops it all; the payments are kept.
    """
    from paysaga.dev.command import run
    from paysaga.dev.options import Options

    options = Options(data_dir, api_port, temporal_port, ui_port, processor_port, api_key)
    raise typer.Exit(asyncio.run(run(options)))


@app.command()
def demo(data_dir: DataDirOption = Path(".paysaga")) -> None:
    """Show how payments survive failures, on a running stack or one that it starts."""
    from paysaga import demo as show

    raise typer.Exit(show.main(data_dir))


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on [PAYSAGA_API_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PAYSAGA_API_PORT]")] = None,
    with_worker: Annotated[
        bool, typer.Option("--with-worker", help="Run payments in this process, too: for a small deployment.")
    ] = False,
) -> None:
    """Serve the HTTP API. Settings come from PAYSAGA_* and TEMPORAL_* variables."""
    given = {"api_host": host, "api_port": port}
    settings = _settings({name: value for name, value in given.items() if value is not None})
    from paysaga import server

    _run(server.run(settings, with_worker=with_worker))


@app.command()
def worker() -> None:
    """Run the payments: take Temporal's tasks until told to stop. Start as many as you like."""
    settings = _settings({})
    from paysaga import worker as service

    _run(service.run(settings))


@app.command()
def migrate() -> None:
    """Bring the database's tables and Temporal's search attributes up to date. Safe to repeat."""
    settings = _settings({})
    from paysaga import migrate as service

    _run(service.run(settings))


@app.command()
def verify() -> None:
    """Prove that the ledger is as it should be: every rule, every balance, the chain of hashes. Exit code 1 if not."""
    settings = _settings({})
    from paysaga import verify as service

    raise typer.Exit(asyncio.run(service.run(settings)))


@app.command()
def reconcile(
    start: Annotated[
        str | None,
        typer.Option("--from", help="Beginning, as 2026-11-22 or 2026-11-22T08:00:00+01:00. A day before the end."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, not included. By default two minutes ago.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="The processor's settlement report of this period, instead of its record.")
    ] = None,
) -> None:
    """Compare the books with the processor: heal what can heal, make cases of the rest. Exit code 1 if any differs."""
    period = _moment("--from", start), _moment("--to", end)
    if file is not None and None in period:
        raise typer.BadParameter("with --file, say by --from and --to which period the report is about")
    settings = _settings({})
    from paysaga import reconcile as service

    raise typer.Exit(asyncio.run(service.run(settings, *period, file)))


@app.command()
def prove(  # noqa: PLR0913, PLR0917 - each is an option
    seed: Annotated[int, typer.Option(help="The same seed gives the same plan.")] = 1,
    payments: Annotated[int, typer.Option(min=1, help="How many customers pay, beside those of the faults.")] = 600,
    minutes: Annotated[float, typer.Option(min=0.1, help="For how long faults are injected, at least.")] = 3.0,
    faults: Annotated[
        str, typer.Option(help="Only these, separated by commas: names of faults or ids of the matrix, as F06.")
    ] = "",
    report: Annotated[Path, typer.Option(help="Folder for proof.html and proof.json.")] = Path("proof"),
    keep: Annotated[
        Path | None, typer.Option(help="Keep the servers' data and the clients' log in this new folder.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show how the seed's plan begins, and run nothing.")] = False,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Plant bugs into copies of this repository: each must be noticed.")
    ] = False,
    only: Annotated[str | None, typer.Option(help="With --mutants: only the bug of this name.")] = None,
    hurry: Annotated[bool, typer.Option("--hurry", hidden=True)] = False,
) -> None:
    """Prove the promise: run payments on a stack of its own while it kills, cuts and lies, then audit every one.

    Exit code 0 only if every fault has really happened and the auditor found no violation.
    """
    from prove import command
    from prove.options import Options

    wanted = tuple(each.strip() for each in faults.split(",") if each.strip())
    options = Options(seed, payments, minutes, wanted, report, keep, hurry=hurry)
    if mutants:
        raise typer.Exit(command.run_mutants(options, only))
    raise typer.Exit(command.run(options, only_plan=plan))


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sandbox(context: typer.Context) -> None:
    """Run the sandbox processor alone (`paysaga sandbox --help` lists its options)."""
    os.execv(sys.executable, [sys.executable, "-m", "sandbox", *context.args])  # noqa: S606


def _moment(option: str, text: str | None) -> "datetime | None":
    from payments.moments import parse_moment

    try:
        return None if text is None else parse_moment(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {error}") from None


def _run(service: Coroutine[Any, Any, None]) -> None:
    try:
        if sys.platform == "win32":
            asyncio.run(service)
        else:
            import uvloop

            uvloop.run(service)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _settings(given: dict[str, str | int]) -> "Settings":
    """From the environment; what is missing or wrong is said by name, never with the value: it may be a secret."""
    from pydantic import ValidationError

    from paysaga.settings import PREFIX, Settings, unknown_names

    for name in unknown_names():
        typer.echo(f"paysaga: warning: {name} is no setting of paysaga and is ignored", err=True)
    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType] - the rest is read from the environment
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = PREFIX + str(problem["loc"][0]).upper()
            what = "is missing" if problem["type"] == "missing" else f"is wrong: {problem['msg']}"
            field = Settings.model_fields.get(str(problem["loc"][0]))
            hint = f" ({field.description})" if field is not None and field.description else ""
            typer.echo(f"paysaga: {name} {what}{hint}", err=True)
        raise typer.Exit(_SETTINGS_WRONG) from None


def main() -> NoReturn:
    try:
        app()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    # Temporal's client often aborts the interpreter while it is being torn down, after all work is done
    # (https://github.com/temporalio/sdk-python/issues/300); what we have to say is said and flushed.
    os._exit(code)


if __name__ == "__main__":
    main()
