"""The worker pool: no item is lost, batches are filled, and a single item is not delayed."""

import threading
import time

import pytest

from coverslip.serving.worker_pool import CancelledItemError, WorkerPool, WorkItem


@pytest.fixture
def make_pool():
    """Make worker pools with the sizes of their batches; close them at the end."""
    pools = []

    def make(prepare=lambda payload: payload, answer=lambda batch: [value * 10 for value in batch], **options):
        sizes = []
        options = {"batch_size": 4, "num_threads": 2, "max_concurrent_batches": 1} | options
        pool = WorkerPool(prepare, lambda: answer, on_batch=sizes.append, **options)
        pools.append(pool)
        return pool, sizes

    yield make
    for pool in pools:
        pool.close()


def answers_of(pool, payloads, seconds=10):
    """Return the answers of a pool in the order of the payloads."""
    answers, finished = {}, threading.Event()

    def make_callback(index):
        def on_done(answer):
            answers[index] = answer
            if len(answers) == len(payloads):
                finished.set()

        return on_done

    pool.submit([WorkItem(payload, make_callback(index)) for index, payload in enumerate(payloads)])
    assert finished.wait(seconds), answers
    return [answers[index] for index in range(len(payloads))]


def test_every_item_is_answered_once_in_full_batches(make_pool):
    pool, sizes = make_pool()
    assert answers_of(pool, list(range(101))) == [10 * value for value in range(101)]
    assert sum(sizes) == 101 and max(sizes) == 4 and len(sizes) < 50


def test_errors_are_reported_and_other_items_are_answered(make_pool):
    def prepare(payload):
        if payload == 3:
            raise ValueError("three")
        return payload

    def answer(batch):
        if 5 in batch:
            raise KeyError("five")
        return batch

    pool, _ = make_pool(prepare, answer, batch_size=1)
    answers = answers_of(pool, [1, 3, 5, 7])
    assert answers[0] == 1 and answers[3] == 7
    assert isinstance(answers[1], ValueError) and isinstance(answers[2], KeyError)


def test_a_single_item_is_answered_at_once_or_after_a_short_wait_for_expected_items(make_pool):
    pool, _ = make_pool()
    start = time.perf_counter()
    answers_of(pool, [1])
    assert time.perf_counter() - start < 1
    waiting_pool, sizes = make_pool(more_expected=lambda: True)
    assert answers_of(waiting_pool, [1]) == [10] and sizes == [1]


def test_a_cancelled_item_is_not_prepared(make_pool):
    prepared, hold = [], threading.Event()

    def prepare(payload):
        prepared.append(payload)
        hold.wait(10)
        return payload

    pool, _ = make_pool(prepare, num_threads=1)
    answers = []
    first, second = WorkItem(1, answers.append), WorkItem(2, answers.append)
    pool.submit([first, second])
    second.cancelled.set()
    hold.set()
    pool.close()
    assert prepared == [1] and 10 in answers and len(answers) == 2
    assert any(isinstance(answer, CancelledItemError) for answer in answers)


def test_close_finishes_all_submitted_items(make_pool):
    def prepare(payload):
        time.sleep(0.01)
        return payload

    pool, _ = make_pool(prepare)
    answers = []
    pool.submit([WorkItem(value, answers.append) for value in range(20)])
    pool.close()
    assert sorted(answers) == [10 * value for value in range(20)]
    with pytest.raises(RuntimeError):
        pool.submit([])
