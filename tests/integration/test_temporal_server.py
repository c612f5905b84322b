"""The dev stack's Temporal server and what it finds on the disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from temporalio.client import Client

from paysaga.dev.ports import free_ports
from paysaga.dev.temporal import TemporalServer

# What a server leaves that is killed while it makes its database.
UNFINISHED = ["CREATE TABLE namespaces (id TEXT)", "CREATE TABLE executions (shard_id INTEGER)"]


@pytest.mark.parametrize("statements", [UNFINISHED[:1], UNFINISHED])
async def test_server_killed_while_it_made_its_database_starts_anew(tmp_path: Path, statements: list[str]) -> None:
    server = TemporalServer(tmp_path, free_ports(1)[0])
    with closing(sqlite3.connect(server.database)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    try:
        await server.start()
    finally:
        await server.stop()


async def test_database_with_a_workflow_is_kept_over_a_kill(tmp_path: Path) -> None:
    server = TemporalServer(tmp_path, free_ports(1)[0])
    try:
        await server.start()
        client = await Client.connect(server.address)
        await client.start_workflow("PaymentWorkflow", id="kept", task_queue="nobody-works-here")
        await server.kill()
        await server.start()
        description = await client.get_workflow_handle("kept").describe()
        assert description.workflow_type == "PaymentWorkflow"
    finally:
        await server.stop()
