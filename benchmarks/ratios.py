"""The comparisons that matter, within each round: what disturbs a machine for minutes disturbs both sides. Pure."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel

from benchmarks.results import Round

_OURS = "paysaga"  # and its variants, which are named paysaga-...
_REFERENCES: Mapping[str, str] = {"textbook": "textbook", "textbook-tuned": "textbook-on-our-settings"}
_COMPARED: Mapping[str, Callable[[Round], float]] = {
    "CPU": lambda each: each.cpu_ms_per_payment,
    "rate": lambda each: each.payments_per_s,
    "p99": lambda each: each.p99_ms,
}


class Ratio(BaseModel):
    """One ratio at one number of clients, for each round that has both sides."""

    what: str
    clients: int
    by_round: dict[int, float]


def ratios(rounds: Sequence[Round]) -> list[Ratio]:
    """All ratios of what was measured, by number of clients."""
    found: list[Ratio] = []
    for clients in sorted({each.clients for each in rounds}):
        here = [each for each in rounds if each.clients == clients]
        systems = {name: _rounds_of(name, here) for name in sorted({each.system for each in here})}
        for name, ours in systems.items():
            if name.split("-")[0] != _OURS:
                continue
            for reference, label in _REFERENCES.items():
                found += _against(f"{name} / {label}", clients, ours, systems.get(reference, {}))
        found += [_of_duplicate(name, clients, own) for name, own in systems.items()]
    return [ratio for ratio in found if ratio.by_round]


def _rounds_of(system: str, rounds: Sequence[Round]) -> dict[int, Round]:
    return {each.round: each for each in rounds if each.system == system}


def _of_duplicate(system: str, clients: int, rounds: Mapping[int, Round]) -> Ratio:
    by_round = {
        number: each.replay_cpu_ms / each.cpu_ms_per_payment
        for number, each in sorted(rounds.items())
        if each.cpu_ms_per_payment > 0
    }
    return Ratio(what=f"{system} duplicate / payment, CPU", clients=clients, by_round=by_round)


def _against(what: str, clients: int, ours: Mapping[int, Round], theirs: Mapping[int, Round]) -> list[Ratio]:
    return [
        Ratio(
            what=f"{what}, {name}",
            clients=clients,
            by_round={
                number: value(ours[number]) / value(theirs[number])
                for number in sorted(ours.keys() & theirs.keys())
                if value(theirs[number]) > 0
            },
        )
        for name, value in _COMPARED.items()
    ]
