"""The bank's page, as a customer sees it."""

from html import escape

from sandbox.action_rows import Action
from sandbox.actions import ABANDONED, CANCELED, CONFIRMED, EXPIRED, PENDING

WHAT_HAPPENED = {
    PENDING: "Your bank asks whether this payment is yours.",
    CONFIRMED: "You have confirmed this payment.",
    ABANDONED: "You have given up this payment.",
    EXPIRED: "The time to confirm this payment is over.",
    CANCELED: "This payment has been canceled.",
}
BUTTONS = """<form method="post">
<button name="result" value="confirm">Confirm</button>
<button name="result" value="abandon">Give up</button>
</form>"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sandbox bank</title>
</head>
<body>
<h1>Sandbox bank</h1>
<p>{amount} {currency}, in the smallest unit of the currency</p>
<p>{what_happened}</p>
{buttons}
</body>
</html>
"""


def action_page(action: Action) -> str:
    return PAGE.format(
        amount=action.request.amount,
        currency=escape(action.request.currency),
        what_happened=WHAT_HAPPENED[action.status],
        buttons=BUTTONS if action.status == PENDING else "",
    )
