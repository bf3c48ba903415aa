"""`coverslip serve` as a program: what the terminal says, ports, two servers, kill -9 under load, Ctrl+C."""

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

from coverslip.serving.addresses import holder_of, listen

BOUNDARY = "test"


def send(port, data, token=""):
    """One image to a server: status and body."""
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


def announced(process):
    """What it says until it says how to stop; the port."""
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if line.startswith("stop:"):
            break
    said = "\n".join(lines)
    found = re.search(r"address: http://\S+?:(\d+)/", said)
    assert found, said
    return said, int(found[1])


@pytest.fixture
def taken():
    """A port that something else listens on."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        yield place.getsockname()[1]


def test_two_servers_on_one_run_a_kill_under_load_another_address_and_a_quiet_end(start, small_run, image, tmp_path):
    first, second = (start("serve", small_run.folder, "--port", "0", "--no-maps") for _ in range(2))
    (said, port), (_, other) = announced(first), announced(second)
    assert port != other and small_run.folder.name in said and "3 classes" in said and "tested on" in said
    data = image("JPEG", (256, 256))
    assert send(port, data) == send(other, data) and send(port, data)[0] == 200

    ended, answered, stopped = threading.Event(), [], []

    def load(where, found):
        while not ended.is_set():
            try:
                found.append(send(where, data)[0])
            except OSError:
                found.append(0)
                return

    crowd = [threading.Thread(target=load, args=each) for each in [(port, stopped), (other, answered)] * 4]
    for each in crowd:
        each.start()
    time.sleep(0.5)
    first.kill()  # under load; the port is free again at once
    first.wait(10)
    third = start("serve", small_run.folder, "--port", str(port), "--no-maps", "--host", "0.0.0.0")
    said, again = announced(third)
    token = re.search(r"#token=(\S+)", said)[1]
    assert again == port and len(token) >= 32 and "whoever knows the token can ask" in said
    assert send(port, data)[0] == 401 and send(port, data, token)[0] == 200
    second.send_signal(signal.SIGINT)  # under load: what was accepted is answered
    _, words = second.communicate(timeout=20)
    ended.set()
    for each in crowd:
        each.join()
    assert second.returncode == 0 and "Traceback" not in words
    assert words.rstrip().endswith("every accepted request was answered")
    assert answered.count(200) > 5 and set(answered) <= {200, 503, 0} and stopped.count(200) > 0
    third.send_signal(signal.SIGTERM)
    assert third.wait(20) == 0


def test_a_port_in_use_is_told_with_its_holder_and_a_free_one(coverslip, small_run, taken):
    problem, fix = coverslip("serve", small_run.folder, "--port", str(taken)).refused(f"port {taken} is in use")
    if holder_of(taken):  # where the system tells it
        assert "(process " in problem
    proposed = int(fix.split()[-1])
    with socket.socket() as place:
        place.bind(("127.0.0.1", proposed))


def test_a_free_port_is_taken_at_once_and_given_back():
    with listen("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        assert place.proto == socket.IPPROTO_TCP  # else every answer would come 40 ms late
    listen("127.0.0.1", port).close()


def test_wrong_words_are_refused_before_anything_is_loaded(coverslip, small_run, tmp_path):
    coverslip("serve", tmp_path / "nothing").refused("there is no run", "coverslip train")
    coverslip("serve", small_run.folder, "--host", "no.such.host.invalid").refused("there is no address")
    coverslip("serve", small_run.folder, "--host", "192.0.2.1", "--port", "0").refused("not an address of this machine")
    coverslip("serve", small_run.folder, "--host", "0.0.0.0", "--token", "short").refused("--token needs 16")
    coverslip("serve", small_run.folder, "--images", "0").refused("--images")


@pytest.mark.parametrize("missing", ["model/model.json", "model/weights.safetensors"])
def test_a_run_without_its_model_is_no_server(coverslip, small_run, tmp_path, missing):
    run = shutil.copytree(small_run.folder, tmp_path / "run")
    (run / missing).unlink()
    coverslip("serve", run, "--port", "0").refused("holds no trained model", "it had one: restore", "coverslip train")


def test_a_run_without_its_test_and_table_is_served_and_says_what_is_missing(small_run, tmp_path, image):
    from fastapi.testclient import TestClient

    from coverslip.core.runs import Run
    from coverslip.serving.app import create_app
    from coverslip.serving.server import Wishes, open_service

    run = shutil.copytree(small_run.folder, tmp_path / "run")
    for name in ("test.json", "table.csv", "audit.json", "ledger.json"):
        (run / name).unlink(missing_ok=True)
    service = open_service(Run(run), Wishes(maps=False))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        model = client.get("/v1/model").json()
        assert model["tested_on"] is None and model["score"] is None and not model["maps"]
        assert "nobody tested this model" in model["warnings"][0]
        assert any("nearest are not named" in each for each in model["warnings"])
        files = {"files": ("leaf.jpg", image())}
        answer = client.post("/v1/predict", files=files).json()["images"][0]
        assert answer["label"] and answer["nearest"] == []
        asked = client.post("/v1/predict?explain=true", files=files)
        assert asked.status_code == 422 and "draws no maps" in asked.json()["error"]["problem"]


def test_images_are_kept_and_examples_shown_only_where_asked(small_run, leaves, leaf_files, tmp_path, coverslip):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app
    from coverslip.serving.server import Wishes, open_service

    keep = tmp_path / "kept"
    service = open_service(small_run, Wishes(maps=False, keep=keep, examples=leaves))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        model = client.get("/v1/model").json()
        assert model["examples"] and any("are kept" in each for each in model["warnings"])
        files = [("files", ("../../leaf.jpg", leaf_files[0].read_bytes())), ("files", ("no.jpg", b"text"))]
        answer = client.post("/v1/predict", files=files).json()["images"][0]
        assert all(each["thumbnail"].startswith("data:image/jpeg;base64,") for each in answer["nearest"])
        assert any("keeps the image" in note for note in answer["notes"]) and model["keeps"]
        client.post("/v1/predict", files=[("files", ("again.jpg", leaf_files[0].read_bytes()))])
    kept = sorted(path.suffix for path in keep.iterdir())
    assert kept == [".jpg", ".json", ".json", ".txt"]
    if os.name == "posix":
        assert keep.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in keep.iterdir()} == {0o600}
    images = [path for path in keep.iterdir() if path.suffix == ".jpg"]
    assert images[0].read_bytes() == leaf_files[0].read_bytes() and re.fullmatch(r"[0-9a-f]{32}", images[0].stem)
    records = [json.loads(file.read_text(encoding="utf-8")) for file in keep.glob(f"{images[0].stem}-*.json")]
    assert {each["answer"]["file"] for each in records} == {"leaf.jpg", "again.jpg"}  # a record for each question
    assert {each["answer"]["label"] for each in records} == {answer["label"]}

    from PIL import Image

    other = tmp_path / "other" / leaf_files[0].parent.name
    other.mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(other / leaf_files[0].name)  # the same name, another image
    coverslip("serve", small_run.folder, "--port", "0", "--with-examples", other.parent).refused(
        "does not hold the images that this model was trained on"
    )
