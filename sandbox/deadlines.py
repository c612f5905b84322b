"""What time does by itself: holds lapse, customers come too late, banks send refunds back."""

from sandbox import actions, holds, refunds
from sandbox.moment import Moment


def settle(at: Moment) -> None:
    """Everything that was due by now and has not been done, whoever was or was not running then."""
    for hold in at.store.lapsing_holds(at.now):
        holds.lapse(at, hold)
    for action in at.store.actions.due(at.now):
        actions.end(at, action, actions.EXPIRED)
    for refund in at.store.refunds_sent_back(at.now):
        refunds.fail(at, refund)
