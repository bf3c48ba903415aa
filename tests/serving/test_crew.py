"""The threads that carry images through: nothing is lost, batches fill, one alone does not wait."""

import threading
import time

import pytest

from coverslip.serving.crew import Crew, Ticket, UnwantedError


@pytest.fixture
def crew():
    """Makes crews and sends them home."""
    made = []

    def make(prepare=lambda given: given, answer=lambda some: [each * 10 for each in some], **options):
        sizes = []
        options = {"batch": 4, "threads": 2, "at_once": 1} | options
        found = Crew(prepare, lambda: answer, answered=sizes.append, **options)
        made.append(found)
        return found, sizes

    yield make
    for each in made:
        each.close()


def carried(crew, given, seconds=10):
    """What a crew makes of these, in their order."""
    found, ended = {}, threading.Event()

    def tell(place):
        def done(answer):
            found[place] = answer
            if len(found) == len(given):
                ended.set()

        return done

    tickets = [Ticket(each, tell(place)) for place, each in enumerate(given)]
    crew.submit(tickets)
    assert ended.wait(seconds), found
    return [found[place] for place in range(len(given))]


def test_everything_is_answered_once_and_full_batches_are_made(crew):
    found, sizes = crew()
    assert carried(found, list(range(101))) == [10 * each for each in range(101)]
    assert sum(sizes) == 101 and max(sizes) == 4 and len(sizes) < 50


def test_what_cannot_be_prepared_or_answered_is_told_and_the_others_go_on(crew):
    def prepare(given):
        if given == 3:
            raise ValueError("three")
        return given

    def answer(some):
        if 5 in some:
            raise KeyError("five")
        return some

    found, _ = crew(prepare, answer, batch=1)
    told = carried(found, [1, 3, 5, 7])
    assert told[0] == 1 and told[3] == 7 and isinstance(told[1], ValueError) and isinstance(told[2], KeyError)


def test_one_alone_is_not_kept_waiting_but_waits_a_little_for_what_is_on_its_way(crew):
    alone, _ = crew()
    start = time.perf_counter()
    carried(alone, [1])
    assert time.perf_counter() - start < 1
    awaited, sizes = crew(on_its_way=lambda: True)
    assert carried(awaited, [1]) == [10] and sizes == [1]


def test_what_nobody_wants_any_more_is_not_begun(crew):
    begun, hold = [], threading.Event()

    def prepare(given):
        begun.append(given)
        hold.wait(10)
        return given

    found, _ = crew(prepare, threads=1)
    told = []
    first, second = Ticket(1, told.append), Ticket(2, told.append)
    found.submit([first, second])
    second.unwanted.set()
    hold.set()
    found.close()
    assert begun == [1] and 10 in told and len(told) == 2
    assert any(isinstance(each, UnwantedError) for each in told)


def test_closing_finishes_what_was_taken_in(crew):
    def prepare(given):
        time.sleep(0.01)
        return given

    found, _ = crew(prepare)
    told = []
    found.submit([Ticket(each, told.append) for each in range(20)])
    found.close()
    assert sorted(told) == [10 * each for each in range(20)]
    with pytest.raises(RuntimeError):
        found.submit([])
