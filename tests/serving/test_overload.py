"""Too much at once, too slow, and the end: what is let in is answered, the rest is told when to come again."""

import asyncio
import threading
import time
from contextlib import ExitStack

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from coverslip.core.errors import UserError
from coverslip.serving.gate import Gate
from coverslip.serving.limits import Limits
from coverslip.serving.refusals import Refused
from coverslip.serving.service import OneThread, Service
from coverslip.serving.uploads import Upload


@pytest.fixture
def slow(small_service):
    """A service of the same model card whose images wait until they are let go."""
    go, made = threading.Event(), []

    class Slow:
        batch, at_once = 2, 1

        def prepare(self, upload):
            go.wait(10)
            return upload

        def answers(self):
            from coverslip.serving.schemas import Answer

            return lambda images: [Answer(file=each.name, label="rust") for each in images]

    def make(**limits):
        made.append(Service(Slow(), small_service.model, Limits(**{"queue": 4, "seconds": 5} | limits)))
        return made[-1]

    make.go = go
    yield make
    go.set()
    for each in made:
        each.close()


def test_numpy_has_its_threads_back_whichever_of_two_servers_is_closed_first():
    def threads():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        shared, first, second = OneThread(), ExitStack(), ExitStack()
        for each in (first, second):
            each.enter_context(shared)
        assert threads() == {1}
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == {2}


def test_a_full_queue_refuses_with_the_seconds_to_wait_and_answers_all_that_it_let_in(slow):
    service = slow()

    async def load():
        def ask(count):
            return asyncio.create_task(service.answer([Upload(f"{each}.jpg", b"x") for each in range(count)]))

        inside = [ask(3), ask(1)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refused, match="more images wait") as refused:
            await ask(1)
        assert refused.value.status == 429 and 1 <= refused.value.retry_after <= 60
        slow.go.set()
        answered = await asyncio.gather(*inside)
        assert [len(each) for each in answered] == [3, 1] and answered[0][2].file == "2.jpg"
        assert len(await ask(9)) == 9  # alone, however many they are
        await asyncio.sleep(0.05)
        assert service.gate.images == 0

    asyncio.run(load())


def test_images_that_wait_for_maps_are_counted_once_and_weigh_more():
    gate = Gate(Limits(queue=10))
    gate.draw(3)
    assert gate.images == 3 and gate.weight == 9
    gate.enter(1)
    with pytest.raises(Refused, match="more images wait"):
        gate.enter(1)
    gate.drawn(3)
    assert gate.images == gate.weight == 1


def test_over_http_a_full_server_says_retry_after_and_a_slow_one_503(slow, image):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    service = slow(queue=1, seconds=0.4)
    with TestClient(create_app(service), base_url="http://localhost") as client:
        full_then_late(slow, service, client, image)


def wait_until(true):
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    assert true()


def full_then_late(slow, service, client, image):
    found = []

    def ask():
        found.append(client.post("/v1/predict", files={"files": ("leaf.jpg", image())}))

    first = threading.Thread(target=ask)
    first.start()
    wait_until(lambda: service.gate.images == 1)
    ask()
    first.join()
    full, late = found
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1 and full.json()["error"]["fix"]
    assert late.status_code == 503 and "no answer within 0.4 s" in late.json()["error"]["problem"]
    assert late.headers["retry-after"]
    slow.go.set()
    wait_until(lambda: service.gate.images == 0)
    ask()
    assert found[-1].status_code == 200  # what was given up has left the queue
    service.stopping = True
    ask()
    assert found[-1].status_code == 503 and "stopping" in found[-1].json()["error"]["problem"]
    assert client.get("/health").json() == {"status": "stopping"}


def test_all_bodies_together_hold_no_more_than_they_may():
    gate = Gate(Limits(bytes=1000, uploads=1500))
    gate.hold(1000)
    with pytest.raises(Refused, match="more images wait"):
        gate.hold(600)
    gate.release(1000)
    gate.hold(600)


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="images=0"):
        Limits(images=0)
    with pytest.raises(UserError, match="pixels"):
        Limits(pixels=10**12)
