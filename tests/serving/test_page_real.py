"""The main use of the page with a real server: one leaf, several leaves, noise and a text file."""

import io
import threading

import numpy as np
import polars as pl
import pytest
from PIL import Image

from .browser import chromium, done, drop, tab, text

uvicorn = pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")


@pytest.fixture(scope="module")
def address(small_run):
    """Start a server of the small run in a thread, on any free port, as ``coverslip serve`` does."""
    from coverslip.serving.addresses import listen
    from coverslip.serving.app import create_app
    from coverslip.serving.server import ServeConfig, open_service

    listener = listen("127.0.0.1", 0)
    app = create_app(open_service(small_run, ServeConfig()))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join(30)
    listener.close()


@pytest.fixture(scope="module")
def leaf_files(leaves):
    """Return the images of the table as files for the page."""
    paths = [leaves.parent / path for path in pl.read_csv(leaves)["path"].to_list()]
    return [{"name": path.name, "mimeType": "image/jpeg", "buffer": path.read_bytes()} for path in paths]


def test_one_leaf_and_then_several_on_the_page_of_a_real_server(address, small_run, leaf_files):
    accuracy = small_run.read_json(small_run.test_file)["scores"]["accuracy"]["value"]
    classes = small_run.read_json(small_run.model_file)["classes"]
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)).save(noise, "PNG")
    with chromium() as browser, tab(browser) as page:
        page.goto(address)
        page.wait_for_selector("body.ready")
        assert page.inner_text("#lead strong") == f"{accuracy:.3f}"
        drop(page, leaf_files[:1])
        page.wait_for_selector("#opacity")
        assert any(page.inner_text("#answer h2").startswith(name) for name in classes)
        shares = [
            float(value.replace("<", "").replace(">", "")) for value in page.locator(".bars .n").all_inner_texts()
        ]
        assert len(shares) == len(classes) and sum(shares) == pytest.approx(1, abs=0.01)
        assert "not tested" in page.inner_text(".reliability")  # the maps of this run were not tested

        page.set_input_files(
            "#choose",
            [*leaf_files[1:12], {"name": "noise.png", "mimeType": "image/png", "buffer": noise.getvalue()}, text()],
        )
        done(page)
        assert page.locator("tr.answered").count() == 13
        assert "text, not an image" in page.inner_text("tr.failed")
        page.locator(".open", has_text="noise.png").click()
        page.wait_for_selector("#answer:has-text('noise.png') #opacity")
        assert "120 × 80 pixels" in page.inner_text("#answer .source")
        page.set_input_files("#choose", [text("alone.txt")])
        page.wait_for_selector(".note.stop")
        assert "text, not an image" in page.inner_text("#answer")
