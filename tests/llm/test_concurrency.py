"""The limit of concurrent requests: halved by a busy server, recovered round by round."""

import asyncio

from refrad.llm.concurrency import Gate


async def passing(gate, count, *, busy):
    entered = [await gate.enter() for _ in range(count)]
    for one in entered:
        gate.leave(one, busy=busy)


def test_busy_round_halves_the_limit_once():
    gate = Gate(64)
    asyncio.run(passing(gate, 64, busy=True))
    assert gate.limit == 32


def test_limit_recovers_by_one_a_round_up_to_the_maximum():
    gate = Gate(8)
    asyncio.run(passing(gate, 8, busy=True))
    for _ in range(3):
        asyncio.run(passing(gate, 4, busy=False))
    assert 6 < gate.limit <= 8
    for _ in range(20):
        asyncio.run(passing(gate, 4, busy=False))
    assert gate.limit == 8


def test_limit_is_at_least_one():
    gate = Gate(2)
    for _ in range(5):
        asyncio.run(passing(gate, 1, busy=True))
    assert gate.limit == 1


def test_waiting_requests_pass_in_their_order():
    async def scene():
        gate, order = Gate(1), []
        first = await gate.enter()

        async def wait(name):
            entered = await gate.enter()
            order.append(name)
            gate.leave(entered, busy=False)

        waiting = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        waiting[1].cancel()
        gate.leave(first, busy=False)
        await asyncio.gather(*waiting, return_exceptions=True)
        return order

    assert asyncio.run(scene()) == ["a", "c"]
