"""`coverslip serve` as a program: terminal output, ports, two servers, kill -9 under load, Ctrl+C."""

import json
import os
import re
import shutil
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from coverslip.serving.addresses import listen, port_owner

BOUNDARY = "test"


def send(port, data, token=""):
    """Send one image to a server; return status and body."""
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'.encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/predict",
        body + data + f"\r\n--{BOUNDARY}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def read_start(process):
    """Read the output of a starting server; return it and the port."""
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if line.startswith("stop:"):
            break
    output = "\n".join(lines)
    match = re.search(r"address: http://\S+?:(\d+)/", output)
    assert match, output
    return output, int(match[1])


@pytest.fixture
def used_port():
    """A port on which another socket listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_two_servers_of_one_run_a_kill_under_load_and_a_clean_shutdown(start, small_run, image, tmp_path):
    first, second = (start("serve", small_run.folder, "--port", "0", "--no-maps") for _ in range(2))
    (output, port), (_, second_port) = read_start(first), read_start(second)
    assert port != second_port
    assert small_run.folder.name in output and "3 classes" in output and "tested on" in output
    data = image("JPEG", (256, 256))
    assert send(port, data) == send(second_port, data) and send(port, data)[0] == 200

    ended, killed_statuses, statuses = threading.Event(), [], []

    def load(target, results):
        while not ended.is_set():
            try:
                results.append(send(target, data)[0])
            except OSError:
                results.append(0)
                return

    arguments = [(port, killed_statuses), (second_port, statuses)] * 4
    clients = [threading.Thread(target=load, args=pair) for pair in arguments]
    for thread in clients:
        thread.start()
    time.sleep(0.5)
    first.kill()  # under load; the port is free again at once
    first.wait(10)
    third = start("serve", small_run.folder, "--port", str(port), "--no-maps", "--host", "0.0.0.0")
    output, third_port = read_start(third)
    token = re.search(r"#token=(\S+)", output)[1]
    assert third_port == port and len(token) >= 32 and "everyone with the token has access" in output
    assert send(port, data)[0] == 401 and send(port, data, token)[0] == 200
    second.send_signal(signal.SIGINT)  # under load: accepted requests are answered
    _, errors = second.communicate(timeout=20)
    ended.set()
    for thread in clients:
        thread.join()
    assert second.returncode == 0 and "Traceback" not in errors
    assert errors.rstrip().endswith("all accepted requests were answered")
    assert statuses.count(200) > 5 and set(statuses) <= {200, 503, 0} and killed_statuses.count(200) > 0
    third.send_signal(signal.SIGTERM)
    assert third.wait(20) == 0


def test_the_error_for_a_used_port_names_its_owner_and_a_free_port(coverslip, small_run, used_port):
    problem, fix = coverslip("serve", small_run.folder, "--port", str(used_port)).refused(f"port {used_port} is in use")
    if port_owner(used_port):  # if the operating system provides it
        assert "(process " in problem
    proposed = int(fix.split()[-1])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", proposed))


def test_a_port_is_bound_at_once_and_released():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert listener.proto == socket.IPPROTO_TCP  # otherwise every answer is delayed by 40 ms
    listen("127.0.0.1", port).close()


def test_invalid_options_are_refused_before_the_model_is_loaded(coverslip, small_run, tmp_path):
    coverslip("serve", tmp_path / "nothing").refused("nothing", "coverslip train")
    coverslip("serve", small_run.folder, "--host", "no.such.host.invalid").refused("unknown address")
    coverslip("serve", small_run.folder, "--host", "192.0.2.1", "--port", "0").refused("not an address of this machine")
    coverslip("serve", small_run.folder, "--host", "0.0.0.0", "--token", "short").refused("at least 16", "--token")
    coverslip("serve", small_run.folder, "--images", "0").refused("--images")


@pytest.mark.parametrize("missing", ["model/model.json", "model/weights.safetensors"])
def test_a_run_without_its_model_is_refused(coverslip, small_run, tmp_path, missing):
    run = shutil.copytree(small_run.folder, tmp_path / "run")
    (run / missing).unlink()
    coverslip("serve", run, "--port", "0").refused("no trained model", "restore", "coverslip train")


def test_a_run_without_test_result_and_table_is_served_with_warnings(small_run, tmp_path, image):
    from fastapi.testclient import TestClient

    from coverslip.core.runs import Run
    from coverslip.serving.app import create_app
    from coverslip.serving.server import ServeConfig, open_service

    run = shutil.copytree(small_run.folder, tmp_path / "run")
    for name in ("test.json", "table.csv", "audit.json", "ledger.json"):
        (run / name).unlink(missing_ok=True)
    service = open_service(Run(run), ServeConfig(maps=False))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        model = client.get("/v1/model").json()
        assert model["tested_on"] is None and model["score"] is None and not model["maps"]
        assert "not tested" in model["warnings"][0]
        assert any("table of training images" in warning for warning in model["warnings"])
        files = {"files": ("leaf.jpg", image())}
        answer = client.post("/v1/predict", files=files).json()["images"][0]
        assert answer["label"] and answer["nearest"] == []
        explained = client.post("/v1/predict?explain=true", files=files)
        assert explained.status_code == 422 and "no maps" in explained.json()["error"]["problem"]


def test_images_are_stored_and_examples_shown_only_on_request(small_run, leaves, leaf_files, tmp_path, coverslip):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app
    from coverslip.serving.server import ServeConfig, open_service

    keep = tmp_path / "kept"
    service = open_service(small_run, ServeConfig(maps=False, keep=keep, examples=leaves))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        model = client.get("/v1/model").json()
        assert model["examples"] and any("stores the images" in warning for warning in model["warnings"])
        files = [("files", ("../../leaf.jpg", leaf_files[0].read_bytes())), ("files", ("no.jpg", b"text"))]
        answer = client.post("/v1/predict", files=files).json()["images"][0]
        assert all(neighbor["thumbnail"].startswith("data:image/jpeg;base64,") for neighbor in answer["nearest"])
        assert any("stores the image" in note for note in answer["notes"]) and model["keeps"]
        client.post("/v1/predict", files=[("files", ("again.jpg", leaf_files[0].read_bytes()))])
    suffixes = sorted(path.suffix for path in keep.iterdir())
    assert suffixes == [".jpg", ".json", ".json", ".txt"]
    if os.name == "posix":
        assert keep.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in keep.iterdir()} == {0o600}
    images = [path for path in keep.iterdir() if path.suffix == ".jpg"]
    assert images[0].read_bytes() == leaf_files[0].read_bytes() and re.fullmatch(r"[0-9a-f]{32}", images[0].stem)
    records = [json.loads(file.read_text(encoding="utf-8")) for file in keep.glob(f"{images[0].stem}-*.json")]
    assert {record["answer"]["file"] for record in records} == {"leaf.jpg", "again.jpg"}  # one record per request
    assert {record["answer"]["label"] for record in records} == {answer["label"]}

    from PIL import Image

    other = tmp_path / "other" / leaf_files[0].parent.name
    other.mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(other / leaf_files[0].name)  # the same name, another image
    coverslip("serve", small_run.folder, "--port", "0", "--with-examples", other.parent).refused(
        "does not contain the images that this model was trained on"
    )
