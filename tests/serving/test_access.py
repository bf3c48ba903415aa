"""Access control, and the headers of every response."""

import pytest
from fastapi.testclient import TestClient

from coverslip.core.errors import UserError
from coverslip.serving.app import create_app
from coverslip.serving.tokens import check_token, is_local_name, is_loopback, new_token, same_token

TOKEN = "a-token-of-the-tests-1"


@pytest.fixture
def guarded(small_service):
    return TestClient(create_app(small_service, token=TOKEN), base_url="http://192.0.2.7:8000")


def test_a_server_with_a_token_reveals_nothing_without_it(guarded, image):
    for path in ("/v1/model", "/metrics"):
        response = guarded.get(path)
        assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert "requires a token" in response.json()["error"]["problem"]
    files = {"files": ("leaf.jpg", image())}
    assert guarded.post("/v1/predict", files=files).status_code == 401
    wrong = guarded.post("/v1/predict", files=files, headers={"authorization": f"Bearer {TOKEN}x"})
    assert wrong.status_code == 401 and "wrong" in wrong.json()["error"]["problem"]
    assert guarded.get("/v1/model", headers={"authorization": "Bearer tok\xe4n".encode("latin-1")}).status_code == 401
    right = guarded.post("/v1/predict", files=files, headers={"authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 200 and right.json()["images"][0]["label"]


def test_the_page_and_health_need_no_token_and_reveal_nothing_of_the_model(guarded, small_run):
    assert guarded.get("/health").json() == {"status": "ok"}
    page = guarded.get("/")
    assert page.status_code == 200 and small_run.folder.name not in page.text.replace("small ", "")


def test_pages_of_other_sites_and_foreign_host_names_are_refused(client, image):
    files = {"files": ("leaf.jpg", image())}
    other = client.post("/v1/predict", files=files, headers={"origin": "https://evil.example"})
    assert other.status_code == 403 and "another site" in other.json()["error"]["problem"]
    # DNS rebinding: a foreign name that resolves to this machine
    assert client.post("/v1/predict", files=files, headers={"origin": "null"}).status_code == 403
    rebound = client.get("/v1/model", headers={"host": "evil.example:8000"})
    assert rebound.status_code == 403 and "evil.example" in rebound.json()["error"]["problem"]
    own = client.post("/v1/predict", files=files, headers={"origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200 and "access-control-allow-origin" not in own.headers


@pytest.mark.parametrize("path", ["/", "/v1/model", "/health", "/metrics", "/openapi.json", "/nowhere"])
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer" and "server" not in headers
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_the_page_contacts_no_other_server_and_is_cached_until_it_changes(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html") and "http" not in page.text.replace("http-equiv", "")
    assert client.get("/", headers={"if-none-match": page.headers["etag"]}).status_code == 304
    script = client.get("/static/server.js")
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/", "/health", "/static/style.css"])
def test_monitoring_can_send_head_requests(client, path):
    response = client.head(path)
    assert response.status_code == 200 and response.headers["content-type"] == client.get(path).headers["content-type"]


def test_an_internal_error_is_reported_without_data_of_the_request(small_service, image, monkeypatch, caplog):
    client = TestClient(create_app(small_service), base_url="http://localhost", raise_server_exceptions=False)

    async def break_down(*arguments):
        raise RuntimeError("about secret_patient.jpg")

    monkeypatch.setattr(small_service, "answer", break_down)
    response = client.post("/v1/predict", files={"files": ("secret_patient.jpg", image())})
    assert response.status_code == 500 and "internal error" in response.json()["error"]["problem"]
    assert "secret" not in response.text + caplog.text and "RuntimeError" in caplog.text


def test_metrics_contain_no_file_names(client, predict, image):
    predict({"secret_patient.jpg": image()})
    client.get("/v1/secret_patient")
    text = client.get("/metrics").text
    assert 'coverslip_requests_total{route="/v1/predict",status="200"}' in text
    assert 'coverslip_requests_total{route="other",status="404"}' in text
    assert "coverslip_waiting_images 0.0" in text and "secret" not in text


def test_the_log_contains_no_data_of_requests(small_service, image):
    lines = []
    client = TestClient(create_app(small_service, log_request=lines.append), base_url="http://localhost")
    client.post("/v1/predict?explain=false", files={"files": ("secret_patient.jpg", image())})
    client.get("/static/secret?patient=7")
    assert [line.split()[1:4] for line in lines] == [["POST", "/v1/predict", "200"], ["GET", "/static", "404"]]


def test_tokens_and_addresses():
    assert len(new_token()) >= 32 and new_token() != new_token()
    assert same_token("abc", "abc") and not same_token("abd", "abc") and not same_token("", "abc")
    for bad in ("short", "with space in it 123", "ümläut-ümläut-ümläut"):
        with pytest.raises(UserError, match="16"):
            check_token(bad)
    assert is_loopback("localhost") and is_loopback("127.0.0.1") and not is_loopback("0.0.0.0")
    with pytest.raises(UserError, match=r"no\.such\.name\.invalid"):
        is_loopback("no.such.name.invalid")
    assert (
        is_local_name("127.0.0.2:80")
        and is_local_name("[::1]:8000")
        and is_local_name("LOCALHOST")
        and not is_local_name("localhost.evil.example")
    )
