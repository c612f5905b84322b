"""What can happen to TCP between any two processes."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Final

from paysaga.dev.ports import HOST
from prove.catalogue import Fault, Inject, Lane
from prove.connection import Touched
from prove.field import Field
from prove.links import Link
from prove.stack import CLIENTS, POSTGRES, PROCESSOR, TEMPORAL

# Who connects to whom, and what the matrix calls that connection's failures.
BETWEEN: Final = (
    (CLIENTS, "api", ("F03",)),
    ("api", POSTGRES, ("F18",)),
    ("api", TEMPORAL, ("F22",)),
    ("worker", POSTGRES, ("F18", "F20")),
    ("worker", TEMPORAL, ("F22",)),
    ("worker", PROCESSOR, ("F17",)),
    (PROCESSOR, "api", ("F36",)),
)
SECONDS: Final = (0.3, 2.5)
# Until somebody uses the connection: a fault that met nobody proves nothing.
PATIENCE_SECONDS: Final = 6.0
# Several that are busy at the same time are all in use.
IN_USE_SECONDS: Final = 0.5
# A reply of a few kilobytes takes seconds.
DRIP_BYTES_PER_SECOND: Final = 300

Way = Callable[[Link], AbstractAsyncContextManager[Touched]]


def _cut(source: str, target: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        links = between(field, source, target)
        link = _in_use(links, random)
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not (count := link.cut()):
            if asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(0.02)
        return f"cut {count} of {link.name}"

    return inject


@asynccontextmanager
async def _refused(link: Link) -> AsyncGenerator[Touched]:
    """Nobody gets in, which we try ourselves."""
    async with link.refused() as touched:
        try:
            _, writer = await asyncio.open_connection(HOST, link.port)
        except ConnectionRefusedError:
            yield touched
        else:
            writer.close()
            yield Touched()


def _for_a_while(source: str, target: str, way: Way, verb: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        links, seconds = between(field, source, target), random.uniform(*SECONDS)
        link = _in_use(links, random)
        async with way(link) as touched:
            waited = 0.0
            while waited < seconds or (not touched.connections and waited < PATIENCE_SECONDS):
                await asyncio.sleep(0.1)
                waited += 0.1
        if not touched.connections:
            return None
        return f"{verb} {link.name} for {waited:.1f} s ({touched.connections} connections, {touched.bytes} bytes)"

    return inject


def _in_use(links: list[Link], random: Random) -> Link:
    """One of those that are in use, or were last: an idle worker may hear nothing of Temporal for a minute."""
    since = max(link.used_at for link in links) - IN_USE_SECONDS
    return random.choice([link for link in links if link.used_at >= since])


def between(field: Field, source: str, target: str) -> list[Link]:
    """The links from a process of this kind to one of that."""
    ends = [(link, *name.split("/")) for name, link in field.stack.links.items()]
    return [link for link, begin, end in ends if begin.startswith(source) and end.startswith(target)]


def _faults(source: str, target: str, covers: tuple[str, ...]) -> list[Fault]:
    end, where = f"{source}-{target}".lower(), f"between {source} and {target}"
    ways: list[tuple[str, str, tuple[str, ...], Inject]] = [
        ("cut", f"connections {where} are reset", (), _cut(source, target)),
        ("refused", f"connections {where} are refused", (), _for_a_while(source, target, _refused, "refused")),
        ("stalled", f"nothing passes {where} for a while", ("F16",),
         _for_a_while(source, target, Link.stalled, "stalled")),
        ("deaf", f"requests pass {where}, replies are lost", ("F20",) if target == POSTGRES else (),
         _for_a_while(source, target, Link.dropping_replies, "dropped the replies of")),
    ]  # fmt: skip
    return [
        Fault(f"{end}-{name}", tuple(sorted({*covers, *more})), what, "cut", Lane.BREAKS, inject)
        for name, what, more, inject in ways
    ]


def _drip(link: Link) -> AbstractAsyncContextManager[Touched]:
    return link.dripping(DRIP_BYTES_PER_SECOND)


FAULTS: Final = (
    *(fault for source, target, covers in BETWEEN for fault in _faults(source, target, covers)),
    Fault("worker-processor-drips", ("F16",), "the processor's replies come a few bytes at a time", "cut",
          Lane.BREAKS, _for_a_while("worker", PROCESSOR, _drip, "slowed down")),
)  # fmt: skip
