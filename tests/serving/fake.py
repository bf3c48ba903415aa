"""A small server with the API of `coverslip serve` but without a model: its answers depend on the file name.

A file with ``unlike`` in its name is unfamiliar, one with ``split`` has two classes in its set, and one with ``same``
was used for training. A file that is not an image gets an error.
"""

import base64
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

import coverslip

STATIC, LOOK = (Path(coverslip.__file__).parent / folder for folder in ("serving/static", "look"))
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"
}  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
CLASSES = [
    "bean_healthy", "bean_rust", "grape_healthy", "pepper_bacterial_spot", "pepper_healthy", "potato_late_blight",
    "tomato_early_blight", "tomato_healthy",
]  # fmt: skip
SCORE = {"name": "accuracy", "value": 0.969, "low": 0.883, "high": 0.992, "level": 0.95}
MODEL = {
    "name": "leaves-2026-11-23-1",
    "network": "efficientnet-lite0",
    "classes": CLASSES,
    "task": "classification",
    "trained_on": {"images": 448, "groups": 224, "name": "leaves"},
    "tested_on": {"images": 96, "groups": 48, "seen": 0},
    "score": SCORE,
    "calibrated": True,
    "coverage": 0.9,
    "threshold": None,
    "familiarity": True,
    "maps": True,
    "examples": False,
    "limits": {"bytes": 20 * 10**6, "images": 64, "pixels": 100_000_000},
    "licence": "Apache-2.0 (network), the images' own",
    "program": "coverslip 0.1.0",
    "date": "2026-11-23T10:20:00",
    "warnings": ["under 20 groups in the test set, so rough intervals: bean_rust, grape_healthy"],
}
TWO_CLASSES = {
    **MODEL,
    "name": "oral-histology",
    "classes": ["Normal", "OSCC"],
    "threshold": {
        "class_name": "OSCC",
        "value": 0.372,
        "sensitivity": {"value": 0.932, "low": 0.862, "high": 0.968, "level": 0.95, "images": 63, "groups": 63},
        "specificity": {"value": 0.871, "low": 0.782, "high": 0.928, "level": 0.95, "images": 62, "groups": 62},
        "measured_on": "test",
    },
}
RELIABILITY = (
    "With randomized weights, the maps keep a structural similarity of at most 0.29 (limit 0.5): they depend on the "
    "trained weights."
)


@dataclass
class Fake:
    """The server, as a context manager: ``with Fake() as fake: page.goto(fake.address)``.

    Attributes:
        model: response of GET /v1/model.
        token: token that every request must send, if any.
        script: responses to the next POST /v1/predict requests instead of answers: (status, headers), or None to
            close the connection.
        unblocked: number of requests that are answered at once; further ones wait until ``released`` is set.
        requests: file names of each answered POST /v1/predict request, and whether maps were requested.
    """

    model: dict = field(default_factory=lambda: MODEL)
    token: str = ""
    script: list = field(default_factory=list)
    unblocked: int = 10**6
    released: threading.Event = field(default_factory=threading.Event)
    requests: list = field(default_factory=list)
    thumbnail: str | None = None
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> "Fake":
        fake = self

        class BoundHandler(Handler):
            owner = fake

        self.server = Quiet(("127.0.0.1", self.port), BoundHandler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, name: str, content: bytes, explain: bool) -> dict:
        if not content.startswith(MAGIC):
            empty = dict.fromkeys(
                ("label", "confidence", "probabilities", "set", "familiar", "unfamiliarity", "map", "width", "height")
            )
            return empty | {
                "file": name,
                "nearest": [],
                "notes": [],
                "error": "the file is text, not an image",
            }
        classes = self.model["classes"]
        predicted = sum(name.encode()) % len(classes)
        mass = np.full(len(classes), 0.02 / len(classes))
        mass[predicted] += 0.88 if "split" not in name else 0.52
        mass[(predicted + 1) % len(classes)] += 0.10 if "split" not in name else 0.46
        order = np.argsort(-mass)
        members = [classes[number] for number in order[: 2 if "split" in name else 1]]
        unlike = "unlike" in name
        return {
            "file": name,
            "label": classes[predicted],
            "confidence": float(mass[predicted]),
            "probabilities": dict(zip(classes, mass.tolist(), strict=True)),
            "set": members,
            "familiar": not unlike,
            "unfamiliarity": 2.7 if unlike else 0.61,
            "nearest": [
                {
                    "label": classes[predicted],
                    "distance": rank + (0.0 if "same" in name else 3.1),
                    "thumbnail": self.thumbnail,
                }
                for rank in range(3)
            ],
            "map": heat_map(classes[predicted]) if explain else None,
            "width": 256,
            "height": 256,
            "notes": [],
            "error": None,
        }


def heat_map(name: str) -> dict:
    """Return a map with one maximum, right of the center."""
    y, x = np.mgrid[:7, :7]
    heat = np.exp(-((y - 3) ** 2 + (x - 4) ** 2) / 3.0)
    values = np.rint(255 * heat / heat.max()).astype(np.uint8)
    return {
        "values": base64.b64encode(values.tobytes()).decode(), "height": 7, "width": 7, "class": name,
        "method": "grad-cam", "layer": "top", "trust": RELIABILITY,
    }  # fmt: skip


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore errors: a browser may disconnect before it receives the answer."""


class Handler(BaseHTTPRequestHandler):
    owner: Fake

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self.reply(200, {"status": "ok"})
        elif path == "/v1/model":
            self.reply(*((200, self.owner.model) if self.allowed() else UNAUTHORIZED))
        else:
            name = "index.html" if path == "/" else path.removeprefix("/static/")
            file = LOOK / name if (LOOK / name).is_file() else STATIC / name
            self.send(200, MEDIA_TYPES[file.suffix], file.read_bytes()) if file.is_file() else self.reply(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fake = self.owner
        if not self.allowed():
            return self.reply(*UNAUTHORIZED)
        if fake.script:
            planned = fake.script.pop(0)
            if planned is None:
                self.close_connection = True
                return self.connection.close()
            status, headers = planned
            return self.reply(status, error_body(f"planned {status}", "try again"), headers)
        if len(fake.requests) >= fake.unblocked:
            fake.released.wait(30)
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: Sequence = BytesParser().parsebytes(head + body).get_payload()
        files = [(part.get_filename(), part.get_payload(decode=True)) for part in parts]
        explain = parse_qs(urlsplit(self.path).query).get("explain") == ["true"]
        fake.requests.append(([name for name, _ in files], explain))
        answers = [fake.answer(name, content, explain) for name, content in files]
        if len(answers) == 1 and answers[0]["error"]:
            return self.reply(415, error_body(answers[0]["error"], "Send a JPEG, PNG, TIFF, BMP or WebP."))
        threshold = fake.model["threshold"] and {key: fake.model["threshold"][key] for key in ("class_name", "value")}
        return self.reply(200, {"model": fake.model["name"], "threshold": threshold, "images": answers})

    def allowed(self) -> bool:
        return not self.owner.token or self.headers["Authorization"] == f"Bearer {self.owner.token}"

    def reply(self, status: int, content: dict, headers: dict | None = None) -> None:
        self.send(status, "application/json", json.dumps(content).encode(), headers)

    def send(self, status: int, media_type: str, content: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        standard = {
            "Content-Type": media_type, "Content-Length": str(len(content)), "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        for name, value in {**standard, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def error_body(problem: str, fix: str) -> dict:
    return {"error": {"problem": problem, "fix": fix}}


UNAUTHORIZED = (401, error_body("this server requires a token", "send Authorization: Bearer TOKEN"))
