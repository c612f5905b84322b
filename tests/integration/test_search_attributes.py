"""Payments are found in Temporal by search attributes, which must be registered before anything can start."""

from datetime import timedelta

from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from paysaga.migrate import missing_search_attributes, register_search_attributes
from tests.harness import Stack, new_key

ALL = ["PaymentStatus", "PaymentCurrency", "PaymentAmount", "CustomerId", "OrderId"]


async def test_migrate_registers_in_a_new_namespace_what_readiness_asks_for(stack: Stack) -> None:
    request = RegisterNamespaceRequest(namespace=new_key("namespace"))
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await (await stack.temporal()).workflow_service.register_namespace(request)
    client = await Client.connect(stack.servers.temporal.address, namespace=request.namespace)
    assert await missing_search_attributes(client) == ALL
    assert await register_search_attributes(client) == ALL
    assert await missing_search_attributes(client) == []
    assert await register_search_attributes(client) == []
