"""Fixtures: a small model as a service in this process."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def small_service(small_run):
    """Open a service of the small run. Loading is slow, so the tests of a file share it and do not change its limits.

    It is not shared between files: an open service limits NumPy to one thread, which changes the last bits of results.
    """
    from coverslip.core.progress import SILENT
    from coverslip.serving.limits import Limits
    from coverslip.serving.server import ServeConfig, open_service

    limits = Limits(bytes=2_000_000, images=5, pixels=1_000_000, queue=8, uploads=4_000_000, seconds=20)
    service = open_service(small_run, ServeConfig(limits=limits), SILENT)
    yield service
    service.close()


@pytest.fixture
def client(small_service):
    """Return a client like a program on this machine."""
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    # Not used as a context manager: the lifespan of the application would close the shared service.
    return TestClient(create_app(small_service), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def leaf_files(leaves):
    """Return the paths of the built-in leaf images."""
    return sorted((leaves.parent / "images").rglob("*.*"))


@pytest.fixture
def image():
    """Make a file with a noise image in any format: ``image("PNG", (40, 30))`` -> bytes."""

    def make(form="JPEG", size=(40, 30), mode="RGB", **options):
        noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, form, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def predict(client):
    """Send files by name: ``predict({"leaf.jpg": data}, explain="true")`` -> response."""

    def call(files, headers=None, **query):
        form = [("files", (name, data, "image/jpeg")) for name, data in files.items()]
        return client.post("/v1/predict", files=form, params=query, headers=headers)

    return call
