"""The description that programs are written from: OpenAPI, the table of codes, the probes."""

from typing import Any

import httpx2
import pytest

from api.problems import Code, responses
from payments.payment import Payment
from payments.request import PaymentRequest
from tests.harness import Stack, new_key

Json = dict[str, Any]

# The contract's table. Programs rely on it: a code may be added, none may change its status.
STATUS_OF: dict[str, int] = {
    "idempotency_key_missing": 400,
    "idempotency_key_invalid": 400,
    "malformed_json": 400,
    "webhook_refused": 400,
    "cursor_invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "payment_not_found": 404,
    "case_not_found": 404,
    "case_not_open": 409,
    "webhook_endpoint_not_found": 404,
    "delivery_not_found": 404,
    "webhook_endpoint_limit": 409,
    "order_already_paid": 409,
    "payment_not_refundable": 409,
    "refund_exceeds_refundable": 409,
    "payment_not_capturable": 409,
    "payment_not_cancelable": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "validation_failed": 422,
    "idempotency_key_reused": 422,
    "card_number_refused": 422,
    "temporal_unavailable": 503,
    "database_unavailable": 503,
}
# What HTTP itself needs beyond the table: an unknown address, a method or a format that is not possible, a bug of ours.
STATUS_OF_HTTP: dict[str, int] = {
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "internal_error": 500,
}

# What each call can answer in case of trouble, by the contract.
PROBLEMS_OF: dict[tuple[str, str], set[str]] = {
    ("post", "/v1/payments"): {
        "idempotency_key_missing",
        "idempotency_key_invalid",
        "malformed_json",
        "unauthenticated",
        "order_already_paid",
        "payload_too_large",
        "unsupported_media_type",
        "validation_failed",
        "idempotency_key_reused",
        "card_number_refused",
        "temporal_unavailable",
        "database_unavailable",
    },
    ("get", "/v1/payments/{payment_id}"): {
        "unauthenticated",
        "payment_not_found",
        "card_number_refused",
        "temporal_unavailable",
        "database_unavailable",
    },
    ("get", "/v1/payments"): {
        "unauthenticated",
        "cursor_invalid",
        "validation_failed",
        "card_number_refused",
        "database_unavailable",
    },
    ("get", "/v1/transactions"): {
        "unauthenticated",
        "cursor_invalid",
        "not_acceptable",
        "validation_failed",
        "card_number_refused",
        "database_unavailable",
    },
    ("post", "/v1/webhooks/{processor}"): {
        "webhook_refused",
        "not_found",
        "payload_too_large",
        "card_number_refused",
        "database_unavailable",
    },
    ("post", "/v1/webhook_endpoints"): {
        "malformed_json",
        "unauthenticated",
        "webhook_endpoint_limit",
        "payload_too_large",
        "unsupported_media_type",
        "validation_failed",
        "card_number_refused",
        "database_unavailable",
    },
    ("post", "/v1/webhook_endpoints/{endpoint_id}/deliveries/{event_id}/redeliver"): {
        "unauthenticated",
        "webhook_endpoint_not_found",
        "delivery_not_found",
        "validation_failed",
        "card_number_refused",
        "database_unavailable",
    },
    ("get", "/v1/payments/{payment_id}/timeline"): {
        "unauthenticated",
        "payment_not_found",
        "card_number_refused",
        "temporal_unavailable",
        "database_unavailable",
    },
}


@pytest.fixture(scope="module")
async def openapi(stack: Stack) -> Json:
    async with httpx2.AsyncClient(base_url=stack.api.url) as stranger:
        reply = await stranger.get("/openapi.json")
    assert reply.status_code == 200
    return reply.json()


def operation_of(openapi: Json, call: tuple[str, str]) -> Json:
    method, path = call
    return openapi["paths"][path][method]


@pytest.mark.parametrize("code", list(Code))
def test_code_has_the_status_of_the_contract(code: Code) -> None:
    assert list(responses(code)) == [(STATUS_OF | STATUS_OF_HTTP)[code]]


@pytest.mark.parametrize("call", PROBLEMS_OF, ids=" ".join)
def test_route_documents_each_of_its_problems_and_no_others(openapi: Json, call: tuple[str, str]) -> None:
    documented: dict[str, str] = {}
    for status, response in operation_of(openapi, call)["responses"].items():
        if status < "400":
            continue
        (media_type, content), *others = response["content"].items()
        assert (media_type, others) == ("application/problem+json", []), f"{status} of {call}"
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for code, example in content["examples"].items():
            assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)
        documented |= dict.fromkeys(response["description"].replace("`", "").split(" or "), status)
    assert documented == {code: str((STATUS_OF | STATUS_OF_HTTP)[code]) for code in PROBLEMS_OF[call]}


def test_examples_of_answers_are_whole_payments(openapi: Json) -> None:
    answers = operation_of(openapi, ("post", "/v1/payments"))["responses"]
    examples = [
        e["value"]
        for status in ("201", "202")
        for e in answers[status]["content"]["application/json"]["examples"].values()
    ]
    assert [example["status"] for example in examples] == ["succeeded", "declined", "processing"]
    for example in examples:
        assert set(Payment.model_validate(example).model_dump(exclude_none=True)) == set(example)


def test_every_route_under_v1_needs_the_bearer_key(openapi: Json) -> None:
    """But that of processors, who sign."""
    schemes = openapi["components"]["securitySchemes"]
    for path, operations in openapi["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/webhooks/") or not path.startswith("/v1/"):
                assert "security" not in operation
                continue
            (needed,) = operation["security"]
            (name,) = needed
            assert (schemes[name]["type"], schemes[name]["scheme"]) == ("http", "bearer")


def references(value: object) -> set[str]:
    """Every `$ref` in a JSON value."""
    match value:
        case dict():
            found = {str(text) for name, text in value.items() if name == "$ref"}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return found.union(*map(references, value.values()))  # pyright: ignore[reportUnknownArgumentType]
        case list():
            return set[str]().union(*map(references, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return set()


def test_every_reference_leads_to_a_schema(openapi: Json) -> None:
    schemas = {f"#/components/schemas/{name}" for name in openapi["components"]["schemas"]}
    assert references(openapi) <= schemas
    assert {f"#/components/schemas/{name}" for name in ("Payment", "PaymentRequest", "Problem")} <= references(openapi)


def test_described_payment_has_the_fields_that_are_sent(openapi: Json) -> None:
    assert set(openapi["components"]["schemas"]["Payment"]["properties"]) == set(Payment.model_fields)


def test_described_request_forbids_unknown_fields(openapi: Json) -> None:
    schema = openapi["components"]["schemas"]["PaymentRequest"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"amount", "currency", "payment_method"}
    assert set(schema["properties"]) == set(PaymentRequest.model_fields)


async def test_every_example_pays_as_it_stands(stack: Stack, openapi: Json) -> None:
    post = operation_of(openapi, ("post", "/v1/payments"))
    (media,) = post["requestBody"]["content"].values()
    prefer = next(parameter for parameter in post["parameters"] if parameter["name"] == "Prefer")
    assert len(media["examples"]) >= 2
    for example in media["examples"].values():
        PaymentRequest.model_validate(example["value"])
        headers = {"Idempotency-Key": new_key("example"), "Prefer": prefer["example"]}
        reply = await stack.http.post("/v1/payments", json=example["value"], headers=headers)
        assert (reply.status_code, reply.json()["status"]) == (201, "succeeded"), reply.text


async def test_documented_key_pays(stack: Stack, openapi: Json) -> None:
    parameters = operation_of(openapi, ("post", "/v1/payments"))["parameters"]
    key = next(parameter for parameter in parameters if parameter["name"] == "Idempotency-Key")
    assert key["required"] is True
    assert (await stack.pay(key["example"])).status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [("/livez", {"status": "ok"}), ("/readyz", {"status": "ok", "database": "ok", "temporal": "ok"})],
)
async def test_probe_answers_without_a_key(stack: Stack, path: str, body: Json) -> None:
    async with httpx2.AsyncClient(base_url=stack.api.url) as stranger:
        reply = await stranger.get(path)
    assert (reply.status_code, reply.json()) == (200, body)


async def test_docs_answer_and_lead_to_the_description(stack: Stack) -> None:
    reply = await stack.http.get("/docs")
    assert reply.status_code == 200
    assert "/openapi.json" in reply.text
