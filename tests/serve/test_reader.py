import asyncio
import threading

import pytest

from beige.serve.reader import TOGETHER, Reader


def test_what_came_while_the_thread_was_busy_is_read_in_one_go_and_in_order():
    async def main():
        reader, gate, read = Reader("test"), threading.Event(), []
        first = asyncio.ensure_future(reader.read(1, gate.wait))
        while reader._waiting or not reader._running:
            await asyncio.sleep(0)
        goes = []
        reader._go, go = lambda: goes.append(go()), reader._go
        rest = [
            asyncio.ensure_future(reader.read(10, lambda number=number: read.append(number))) for number in range(5)
        ]
        await asyncio.sleep(0)
        assert reader.tokens == 51
        gate.set()
        await asyncio.gather(first, *rest)
        assert read == [0, 1, 2, 3, 4]
        assert len(goes) == 2  # all five, then nothing
        assert reader.tokens == 0
        reader.close()

    asyncio.run(main())


def test_each_has_its_own_result_or_error():
    def broken():
        raise ValueError("broken")

    async def main():
        reader = Reader("test")
        found = await asyncio.gather(
            reader.read(1, lambda: 1), reader.read(1, broken), reader.read(1, lambda: 3), return_exceptions=True
        )
        assert (found[0], found[2]) == (1, 3)
        assert isinstance(found[1], ValueError)
        reader.close()

    asyncio.run(main())


def test_nothing_waits_for_what_is_large():
    async def main():
        reader, gate = Reader("test"), threading.Event()
        before, large, after = (
            asyncio.ensure_future(reader.read(tokens, read))
            for tokens, read in ((1, lambda: 1), (TOGETHER, lambda: 2), (1, gate.wait))
        )
        assert await asyncio.wait_for(asyncio.gather(before, large), 10) == [1, 2]
        gate.set()
        assert await after
        reader.close()

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_read():
    async def main():
        reader, gate, read = Reader("test"), threading.Event(), []
        first = asyncio.ensure_future(reader.read(1, gate.wait))
        while reader._waiting or not reader._running:
            await asyncio.sleep(0)
        gone, kept = (
            asyncio.ensure_future(reader.read(1, lambda name=name: read.append(name))) for name in ("gone", "kept")
        )
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.set()
        await asyncio.gather(first, kept)
        assert read == ["kept"]
        assert reader.tokens == 0
        reader.close()

    asyncio.run(main())
