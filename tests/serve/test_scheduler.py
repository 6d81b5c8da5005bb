"""The scheduler over a model that computes when it is told to."""

import asyncio
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from beige.errors import EngineError, NotFiniteError
from beige.models.tokenizer import Tokens
from beige.serve.errors import Refusal
from beige.serve.metrics import Metrics
from beige.serve.pace import Pace
from beige.serve.scheduler import Scheduler


@dataclass(eq=False)
class Runner:
    """A model whose texts are numbers; a result is the double; it waits while its gate is closed."""

    streams: int = 2
    budget: int = 1024
    name: str = "fake"
    device: str = "cpu"
    pace: Pace = field(default_factory=Pace)
    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    broken: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()


@dataclass(frozen=True)
class Kind:
    runner: Runner

    def compute(self, texts):
        self.runner.batches.append([text.count for text in texts])
        assert self.runner.gate.wait(10)
        if self.runner.broken:
            raise self.runner.broken
        return [NotFiniteError("nan") if text.count < 0 else 2 * text.count for text in texts]


def tokens(*numbers: int, length: int = 10) -> list[Tokens]:
    return [Tokens(np.zeros(length, np.int32), number, False) for number in numbers]


class Bench:
    """A scheduler with a fake clock."""

    def __init__(self, queue_tokens: int = 1000, **runner) -> None:
        self.now = 100.0
        self.runner = Runner(**runner)
        self.scheduler = Scheduler(queue_tokens, Metrics(), clock=lambda: self.now)

    async def run(self, *numbers: int, lane="query", timeout=10.0, length=10):
        texts = tokens(*numbers, length=length)
        done = await self.scheduler.run(Kind(self.runner), lane, timeout, length * len(numbers), lambda: texts)
        return done.results

    def start(self, *numbers: int, **more) -> "asyncio.Task":
        return asyncio.ensure_future(self.run(*numbers, **more))

    async def until(self, condition) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.002)
        pytest.fail("it did not come to be")

    async def waits(self, lane: str, number: int) -> None:
        """Until so many tokens are read and wait in a lane."""
        await self.until(lambda: sum(self.scheduler._lanes.waiting(lane).values()) == number)

    async def busy(self, streams: int = 2, lane: str = "query") -> list["asyncio.Task"]:
        """Fill the streams with batches that do not end."""
        self.runner.gate.clear()
        tasks = []
        for number in range(streams):
            tasks.append(self.start(1000 + number, lane=lane))
            await self.until(lambda wanted=number + 1: len(self.runner.batches) == wanted)
        return tasks


def test_results_come_in_the_order_of_the_inputs():
    async def main():
        bench = Bench(budget=30)
        found = await asyncio.gather(bench.run(1, 2, 3, 4, 5), bench.run(6), bench.run(7, 8, lane="ingestion"))
        assert found == [[2, 4, 6, 8, 10], [12], [14, 16]]
        assert await bench.run() == []

    asyncio.run(main())


def test_requests_share_batches():
    async def main():
        bench = Bench(streams=1)
        held = await bench.busy(1)
        tasks = [bench.start(number) for number in range(8)]
        await bench.waits("query", 80)
        bench.runner.gate.set()
        assert await asyncio.gather(*tasks) == [[2 * number] for number in range(8)]
        assert len(bench.runner.batches) == 2
        assert sorted(bench.runner.batches[1]) == list(range(8))
        await asyncio.gather(*held)

    asyncio.run(main())


def test_free_streams_share_the_work():
    async def main():
        bench = Bench(queue_tokens=10_000)
        await bench.run(*range(40))
        assert [len(batch) for batch in bench.runner.batches] == [20, 20]

    asyncio.run(main())


def test_what_the_queue_cannot_hold_now_is_told_when_to_come_again():
    async def main():
        bench = Bench(queue_tokens=100)
        bench.runner.pace.add(1000, 500.0)  # half a second a token, on each of two streams
        held = await bench.busy()
        waiting = [bench.start(1, timeout=1000) for _ in range(9)]
        await bench.waits("query", 90)
        with pytest.raises(Refusal) as refused:
            await bench.run(1, 2, timeout=1000)
        assert refused.value.reason == "overloaded"
        assert refused.value.retry_after == pytest.approx(10 * 0.5 / 2)  # until ten tokens have gone
        assert refused.value.headers()["Retry-After"] == "3"
        ingestion = bench.start(1, lane="ingestion", timeout=1000)  # its lane is another
        bench.runner.gate.set()
        await asyncio.gather(*held, *waiting, ingestion)
        assert await bench.run(1) == [2]

    asyncio.run(main())


def test_what_would_come_too_late_is_refused_at_once():
    async def main():
        bench = Bench(queue_tokens=1000)
        bench.runner.pace.add(1000, 500.0)
        held = await bench.busy()
        waiting = bench.start(*range(20), timeout=1000)  # 200 tokens: 50 seconds
        await bench.waits("query", 200)
        with pytest.raises(Refusal) as refused:
            await bench.run(1, timeout=20)
        assert refused.value.reason == "overloaded"
        assert refused.value.retry_after == pytest.approx(30)
        bench.runner.gate.set()
        await asyncio.gather(*held, waiting)

    asyncio.run(main())


def test_ingestion_is_told_the_time_of_its_share_while_queries_come():
    async def main():
        bench = Bench(queue_tokens=10_000)
        bench.runner.pace.add(1000, 10.0)  # 200 tokens a second on both streams
        held = await bench.busy()
        slow = bench.start(*range(100), lane="ingestion", timeout=1000)
        await bench.waits("ingestion", 1000)
        assert bench.scheduler.wait("ingestion") == pytest.approx(5)
        query = bench.start(*range(10), timeout=1000)
        await bench.waits("query", 100)
        assert bench.scheduler.wait("query") == pytest.approx(0.5)
        assert bench.scheduler.wait("ingestion") == pytest.approx(25)
        bench.runner.gate.set()
        await asyncio.gather(*held, slow, query)

    asyncio.run(main())


def test_what_the_queue_can_never_hold_is_told_so():
    async def main():
        with pytest.raises(Refusal, match="send it in parts") as refused:
            await Bench(queue_tokens=100).run(*range(11))
        assert refused.value.status == 413

    asyncio.run(main())


def test_expired_work_is_not_computed():
    async def main():
        bench = Bench()
        held = await bench.busy()
        with pytest.raises(Refusal) as refused:
            await bench.run(1, timeout=0.05)
        assert refused.value.status == 503
        assert bench.scheduler.tokens("query") == 0
        late = bench.start(2, timeout=5)
        await bench.waits("query", 10)
        bench.now += 6  # its time is over, though no timer has said so yet
        bench.runner.gate.set()
        await asyncio.gather(*held)
        await bench.until(lambda: bench.scheduler.tokens("query") == 0)
        assert [1] not in bench.runner.batches
        assert [2] not in bench.runner.batches
        late.cancel()

    asyncio.run(main())


def test_cancelled_work_is_not_computed():
    async def main():
        bench = Bench()
        held = await bench.busy()
        task = bench.start(1, 2, 3)
        await bench.waits("query", 30)
        task.cancel()
        await bench.until(task.done)
        assert bench.scheduler.tokens("query") == 0
        bench.runner.gate.set()
        await asyncio.gather(*held)
        assert len(bench.runner.batches) == 2

    asyncio.run(main())


def test_what_is_not_finite_fails_its_own_request_alone():
    async def main():
        bench = Bench(streams=1)
        held = await bench.busy(1)
        tasks = [bench.start(1), bench.start(2, -1, 3), bench.start(4)]
        await bench.waits("query", 50)
        bench.runner.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (found[0], found[2]) == ([2], [8])
        assert found[1].reason == "not_finite"
        assert "input 1" in str(found[1])
        assert len(bench.runner.batches) == 2  # they were one batch
        await asyncio.gather(*held)

    asyncio.run(main())


@pytest.mark.parametrize(("broken", "said"), [(EngineError("the device failed"), EngineError), (OSError(), Refusal)])
def test_a_batch_that_fails_leaves_the_server_well(broken, said):
    async def main():
        bench = Bench()
        bench.runner.broken = broken
        with pytest.raises(said):
            await bench.run(1)
        bench.runner.broken = None
        assert await bench.run(1) == [2]

    asyncio.run(main())


def test_ingestion_leaves_a_stream_free_while_queries_come():
    async def main():
        bench = Bench(budget=10, queue_tokens=10_000)
        await bench.run(1)
        bench.runner.gate.clear()
        task = bench.start(*range(10), lane="ingestion")
        await bench.waits("ingestion", 90)
        query = bench.start(5)
        await bench.until(lambda: len(bench.runner.batches) == 3)  # the first query, a batch of each lane
        assert bench.scheduler.tokens("ingestion") == 90
        bench.runner.gate.set()
        await asyncio.gather(task, query)

    asyncio.run(main())


def test_ingestion_has_all_streams_when_no_query_came_lately():
    async def main():
        bench = Bench(budget=10, queue_tokens=10_000)
        bench.runner.gate.clear()
        task = bench.start(*range(10), lane="ingestion")
        await bench.waits("ingestion", 80)
        bench.runner.gate.set()
        await task

    asyncio.run(main())


def test_a_batch_of_ingestion_is_short():
    async def main():
        bench = Bench(queue_tokens=100_000)
        bench.runner.pace.add(1000, 1.0)  # a millisecond a token: forty in forty-five milliseconds
        await bench.run(*range(400), lane="ingestion")
        assert len(bench.runner.batches[0]) == 4

    asyncio.run(main())


def test_closing_finishes_what_was_taken_and_takes_no_more():
    async def main():
        bench = Bench()
        held = await bench.busy()
        task = bench.start(1, 2)
        await bench.waits("query", 20)
        closing = asyncio.ensure_future(bench.scheduler.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        with pytest.raises(Refusal, match="shutting down") as refused:
            await bench.run(3)
        assert refused.value.status == 503
        bench.runner.gate.set()
        await closing
        assert await task == [2, 4]
        await asyncio.gather(*held)

    asyncio.run(main())
