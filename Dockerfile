# One image for every process of paysaga: `api`, `worker`, `migrate`, `sandbox`.

FROM python:3.13-slim AS build
WORKDIR /build

# The tools of this stage: uv, and what builds the wheel. Versions and hashes are those of requirements.lock.
COPY requirements.lock ./
RUN awk '/^[^ ]/ {on = /^(uv|hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} on' requirements.lock > tools.lock \
 && python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r tools.lock

# What paysaga needs to run, and nothing of what it needs to be developed: pyproject.toml says which packages, the lock
# says which version and hash of each. A package that the lock doesn't hold stops the build. Wheels only: no code of
# others runs here, and there is no compiler.
COPY pyproject.toml ./
RUN python -m venv --without-pip /venv \
 && /tools/bin/uv pip install --no-cache --python /venv/bin/python --compile-bytecode --only-binary :all: \
      --require-hashes --constraint requirements.lock --requirement pyproject.toml

COPY README.md ./
COPY payments payments
COPY gateways gateways
COPY ledger ledger
COPY activities activities
COPY workflows workflows
COPY api api
COPY paysaga paysaga
COPY sandbox sandbox
COPY prove prove
RUN /tools/bin/uv build --wheel --no-build-isolation --python /tools/bin/python --out-dir /dist \
 && /tools/bin/uv pip install --no-cache --python /venv/bin/python --compile-bytecode --no-deps /dist/*.whl


FROM python:3.13-slim

# A number that no user of the host is likely to have. /data is for the sandbox processor: a new named volume takes over
# the owner of the folder that it covers.
RUN groupadd --gid 10001 paysaga \
 && useradd --uid 10001 --gid paysaga --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin paysaga \
 && install --directory --owner paysaga --group paysaga --mode 0700 /data

COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
# Empty and not ours to write: `python -m` looks for modules here first.
WORKDIR /app
EXPOSE 8080

# The worker lets a charge in flight finish, the API its requests.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "paysaga"]
CMD ["--help"]
