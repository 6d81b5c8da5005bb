import signal
import threading

import pytest

from beige.index.channel import Channel


def in_thread(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_items_come_in_order_and_the_load_is_bounded() -> None:
    channel: Channel[int] = Channel(10)
    most = []

    def give() -> None:
        for number in range(200):
            channel.give(number, 1 + number % 7)
            most.append(channel._load)
        channel.close()

    thread = in_thread(give)
    assert list(channel) == list(range(200))
    thread.join()
    assert max(most) <= 10
    assert channel.take() == []


def test_a_heavy_item_passes_alone() -> None:
    channel: Channel[str] = Channel(10)
    channel.give("heavy", 1000)
    waiting = in_thread(lambda: channel.give("light", 1))
    waiting.join(0.05)
    assert waiting.is_alive()
    assert channel.take(5) == ["heavy"]
    waiting.join()
    assert channel.take(5) == ["light"]


def test_take_gathers_up_to_a_weight() -> None:
    channel: Channel[int] = Channel(100)
    for number in range(5):
        channel.give(number, 10)
    assert channel.take(25) == [0, 1]
    assert channel.take() == [2]
    channel.close()
    assert channel.take(1000, patience=60) == [3, 4], "a closed channel keeps nobody waiting"


def test_take_waits_for_the_weight_as_long_as_it_has_patience() -> None:
    channel: Channel[int] = Channel(100)
    channel.give(1, 10)
    timer = threading.Timer(0.05, lambda: channel.give(2, 10))
    timer.start()
    assert channel.take(20, patience=60) == [1, 2]
    channel.give(3, 10)
    assert channel.take(20, patience=0.01) == [3]


def test_breaking_off_reaches_both_sides_with_the_first_error() -> None:
    channel: Channel[int] = Channel(1)
    channel.give(1, 1)
    caught = []

    def give() -> None:
        try:
            channel.give(2, 1)
        except ValueError as error:
            caught.append(error)

    thread = in_thread(give)
    thread.join(0.05)
    first = ValueError("first")
    channel.fail(first)
    channel.fail(RuntimeError("second"))
    thread.join()
    assert caught == [first]
    with pytest.raises(ValueError, match="first"):
        channel.take()


@pytest.mark.parametrize("waits", ["take", "give"])
def test_an_interrupt_that_does_not_wake_the_one_who_waits_is_noticed(waits: str) -> None:
    """The system gives it to another thread, as it may where the main one is just about to sleep."""
    channel: Channel[int] = Channel(1)
    if waits == "give":
        channel.give(1, 1)

    def interrupt() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    timer = threading.Timer(0.05, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        channel.take() if waits == "take" else channel.give(2, 1)
    timer.join()
