"""The main journey at the page of a real server: a trained run, one leaf, many, noise, a text file."""

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
    """A server of the small run in a thread of its own, on any free port, as ``coverslip serve`` starts it."""
    from coverslip.serving.addresses import listen
    from coverslip.serving.app import create_app
    from coverslip.serving.server import Wishes, open_service

    place = listen("127.0.0.1", 0)
    app = create_app(open_service(small_run, Wishes()))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    yield f"http://127.0.0.1:{place.getsockname()[1]}/"
    server.should_exit = True
    thread.join(30)
    place.close()


@pytest.fixture(scope="module")
def leaf_files(leaves):
    """Images that are in the table, as the page is given them."""
    paths = [leaves.parent / path for path in pl.read_csv(leaves)["path"].to_list()]
    return [{"name": path.name, "mimeType": "image/jpeg", "buffer": path.read_bytes()} for path in paths]


def test_one_leaf_then_many_at_the_page_of_a_real_server(address, small_run, leaf_files):
    accuracy = small_run.read_json(small_run.test_file)["scores"]["accuracy"]["value"]
    classes = small_run.read_json(small_run.model_file)["classes"]
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)).save(noise, "PNG")
    with chromium() as browser, tab(browser) as page:
        page.goto(address)
        page.wait_for_selector("body.ready")
        assert page.inner_text("#lead strong") == f"{accuracy:.3f}"
        drop(page, leaf_files[:1])
        page.wait_for_selector("#strength")
        assert any(page.inner_text("#answer h2").startswith(name) for name in classes)
        shares = [float(each.replace("<", "").replace(">", "")) for each in page.locator(".bars .n").all_inner_texts()]
        assert len(shares) == len(classes) and sum(shares) == pytest.approx(1, abs=0.01)
        assert "was not tested" in page.inner_text(".trust")  # this run's maps were not

        page.set_input_files(
            "#choose",
            [*leaf_files[1:12], {"name": "noise.png", "mimeType": "image/png", "buffer": noise.getvalue()}, text()],
        )
        done(page)
        assert page.locator("tr.answered").count() == 13
        assert "text, not an image" in page.inner_text("tr.failed")
        page.locator(".open", has_text="noise.png").click()
        page.wait_for_selector("#answer:has-text('noise.png') #strength")
        assert "120 × 80 pixels" in page.inner_text("#answer .from")
        page.set_input_files("#choose", [text("alone.txt")])
        page.wait_for_selector(".note.stop")
        assert "text, not an image" in page.inner_text("#answer")
