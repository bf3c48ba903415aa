"""Overload, timeouts and shutdown: accepted requests are answered, others are told when to retry."""

import asyncio
import threading
import time
from contextlib import ExitStack

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from coverslip.core.errors import UserError
from coverslip.serving.admission import AdmissionControl
from coverslip.serving.limits import Limits
from coverslip.serving.request_errors import RequestError
from coverslip.serving.service import Service, SingleThreadedBlas
from coverslip.serving.uploads import Upload


@pytest.fixture
def slow(small_service):
    """Make services whose preparation of images waits for ``slow.go``."""
    go, services = threading.Event(), []

    class Slow:
        batch_size, max_concurrent_batches = 2, 1

        def prepare(self, upload):
            go.wait(10)
            return upload

        def make_answer_function(self):
            from coverslip.serving.schemas import Answer

            return lambda uploads: [Answer(file=upload.name, label="rust") for upload in uploads]

    def make(**limits):
        services.append(Service(Slow(), small_service.model, Limits(**{"queue": 4, "seconds": 5} | limits)))
        return services[-1]

    make.go = go
    yield make
    go.set()
    for service in services:
        service.close()


def test_blas_threads_are_restored_when_the_last_of_two_services_is_closed():
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        shared, first, second = SingleThreadedBlas(), ExitStack(), ExitStack()
        for stack in (first, second):
            stack.enter_context(shared)
        assert threads() == {1}
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == {2}


def test_a_full_queue_refuses_with_a_retry_time_and_answers_all_accepted_images(slow):
    service = slow()

    async def load():
        def send(count):
            return asyncio.create_task(service.answer([Upload(f"{number}.jpg", b"x") for number in range(count)]))

        accepted = [send(3), send(1)]
        await asyncio.sleep(0.05)
        with pytest.raises(RequestError) as refused:
            await send(1)
        assert refused.value.status == 429 and 1 <= refused.value.retry_after <= 60
        slow.go.set()
        answered = await asyncio.gather(*accepted)
        assert [len(answers) for answers in answered] == [3, 1] and answered[0][2].file == "2.jpg"
        assert len(await send(9)) == 9  # an empty queue accepts any number
        await asyncio.sleep(0.05)
        assert service.admission.images == 0

    asyncio.run(load())


def test_images_that_wait_for_maps_are_counted_once_with_a_higher_weight():
    admission = AdmissionControl(Limits(queue=10))
    admission.add_maps(3)
    assert admission.images == 3 and admission.weight == 9
    admission.admit(1)
    with pytest.raises(RequestError, match="queue"):
        admission.admit(1)
    admission.complete_maps(3)
    assert admission.images == admission.weight == 1


def test_over_http_a_full_server_sends_retry_after_and_a_slow_one_503(slow, image):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    service = slow(queue=1, seconds=0.4)
    with TestClient(create_app(service), base_url="http://localhost") as client:
        full_then_late(slow, service, client, image)


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def full_then_late(slow, service, client, image):
    responses = []

    def send():
        responses.append(client.post("/v1/predict", files={"files": ("leaf.jpg", image())}))

    first = threading.Thread(target=send)
    first.start()
    wait_until(lambda: service.admission.images == 1)
    send()
    first.join()
    full, late = responses
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1 and full.json()["error"]["fix"]
    assert late.status_code == 503 and "no answer within 0.4 s" in late.json()["error"]["problem"]
    assert late.headers["retry-after"]
    slow.go.set()
    wait_until(lambda: service.admission.images == 0)
    send()
    assert responses[-1].status_code == 200  # the request that timed out has left the queue
    service.stopping = True
    send()
    assert responses[-1].status_code == 503 and "stopping" in responses[-1].json()["error"]["problem"]
    assert client.get("/health").json() == {"status": "stopping"}


def test_all_bodies_together_are_limited():
    admission = AdmissionControl(Limits(bytes=1000, uploads=1500))
    admission.reserve(1000)
    with pytest.raises(RequestError, match="queue"):
        admission.reserve(600)
    admission.release(1000)
    admission.reserve(600)


def test_limits_out_of_range_are_refused():
    with pytest.raises(UserError, match="images=0"):
        Limits(images=0)
    with pytest.raises(UserError, match="pixels"):
        Limits(pixels=10**12)
