"""A small model as a service, within this process."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def small_service(small_run):
    """The small run at work: slow to load, so the tests of a file share it; they leave its limits as they are.

    Not those elsewhere: while a service is open NumPy has one thread, and what is trained then has other last bits.
    """
    from coverslip.core.progress import SILENT
    from coverslip.serving.limits import Limits
    from coverslip.serving.server import Wishes, open_service

    limits = Limits(bytes=2_000_000, images=5, pixels=1_000_000, queue=8, uploads=4_000_000, seconds=20)
    service = open_service(small_run, Wishes(limits=limits), SILENT)
    yield service
    service.close()


@pytest.fixture
def client(small_service):
    """Asks it as a program on this machine would."""
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    # Without its lifespan: the service outlives the application.
    return TestClient(create_app(small_service), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def leaf_files(leaves):
    """Paths of built-in leaves."""
    return sorted((leaves.parent / "images").rglob("*.*"))


@pytest.fixture
def image():
    """An image of noise as a file of any kind: ``image("PNG", (40, 30))`` -> bytes."""

    def make(form="JPEG", size=(40, 30), mode="RGB", **options):
        noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, form, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def ask(client):
    """Sends files by name: ``ask({"leaf.jpg": data}, explain="true")`` -> response."""

    def call(files, headers=None, **query):
        form = [("files", (name, data, "image/jpeg")) for name, data in files.items()]
        return client.post("/v1/predict", files=form, params=query, headers=headers)

    return call
