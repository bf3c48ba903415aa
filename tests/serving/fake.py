"""A small server that answers as `coverslip serve` does, without a network: what it says follows from a file's name.

A name with ``strange`` is unlike anything, one with ``split`` may be two classes,
``same`` was trained on; what is no image is an error.
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
KINDS = {
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
TWO = {
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
TRUST = (
    "With weights in random order the maps keep a structural similarity of 0.29 at most (under 0.5 is wanted): "
    "they depend on what was learned."
)


@dataclass
class Fake:
    """The server, while the block lasts: ``with Fake() as fake: page.goto(fake.address)``.

    Attributes:
        model: what GET /v1/model says.
        token: what every question has to carry, if any.
        script: what the next questions to POST /v1/predict get in place of an answer, one after another:
            (status, headers), or None to end the connection without a word.
        free: so many questions are answered at once; the next ones wait until ``released`` is set.
        asked: names in each question to POST /v1/predict that was answered, and whether maps were wanted.
    """

    model: dict = field(default_factory=lambda: MODEL)
    token: str = ""
    script: list = field(default_factory=list)
    free: int = 10**6
    released: threading.Event = field(default_factory=threading.Event)
    asked: list = field(default_factory=list)
    thumbnail: str | None = None
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> "Fake":
        fake = self

        class Door(Handler):
            owner = fake

        self.server = Quiet(("127.0.0.1", self.port), Door)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, name: str, content: bytes, explain: bool) -> dict:
        if not content.startswith(MAGIC):
            nothing = dict.fromkeys(
                ("label", "confidence", "probabilities", "set", "familiar", "unfamiliarity", "map", "width", "height")
            )
            return nothing | {
                "file": name,
                "nearest": [],
                "notes": [],
                "error": "not an image: its content is text, whatever it is called",
            }
        classes = self.model["classes"]
        favorite = sum(name.encode()) % len(classes)
        mass = np.full(len(classes), 0.02 / len(classes))
        mass[favorite] += 0.88 if "split" not in name else 0.52
        mass[(favorite + 1) % len(classes)] += 0.10 if "split" not in name else 0.46
        order = np.argsort(-mass)
        named = [classes[each] for each in order[: 2 if "split" in name else 1]]
        strange = "strange" in name
        return {
            "file": name,
            "label": classes[favorite],
            "confidence": float(mass[favorite]),
            "probabilities": dict(zip(classes, mass.tolist(), strict=True)),
            "set": named,
            "familiar": not strange,
            "unfamiliarity": 2.7 if strange else 0.61,
            "nearest": [
                {
                    "label": classes[favorite],
                    "distance": place + (0.0 if "same" in name else 3.1),
                    "thumbnail": self.thumbnail,
                }
                for place in range(3)
            ],
            "map": blob(classes[favorite]) if explain else None,
            "width": 256,
            "height": 256,
            "notes": [],
            "error": None,
        }


def blob(name: str) -> dict:
    """A map of one warm spot, right of the middle."""
    y, x = np.mgrid[:7, :7]
    heat = np.exp(-((y - 3) ** 2 + (x - 4) ** 2) / 3.0)
    values = np.rint(255 * heat / heat.max()).astype(np.uint8)
    return {
        "values": base64.b64encode(values.tobytes()).decode(), "height": 7, "width": 7, "class": name,
        "method": "grad-cam", "layer": "top", "trust": TRUST,
    }  # fmt: skip


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A browser may go away before it has its answer."""


class Handler(BaseHTTPRequestHandler):
    owner: Fake

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self.reply(200, {"status": "ok"})
        elif path == "/v1/model":
            self.reply(*((200, self.owner.model) if self.allowed() else REFUSED))
        else:
            name = "index.html" if path == "/" else path.removeprefix("/static/")
            file = LOOK / name if (LOOK / name).is_file() else STATIC / name
            self.give(200, KINDS[file.suffix], file.read_bytes()) if file.is_file() else self.reply(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fake = self.owner
        if not self.allowed():
            return self.reply(*REFUSED)
        if fake.script:
            planned = fake.script.pop(0)
            if planned is None:
                self.close_connection = True
                return self.connection.close()
            status, headers = planned
            return self.reply(status, said(f"planned {status}", "ask again"), headers)
        if len(fake.asked) >= fake.free:
            fake.released.wait(30)
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: Sequence = BytesParser().parsebytes(head + body).get_payload()
        files = [(part.get_filename(), part.get_payload(decode=True)) for part in parts]
        explain = parse_qs(urlsplit(self.path).query).get("explain") == ["true"]
        fake.asked.append(([name for name, _ in files], explain))
        answers = [fake.answer(name, content, explain) for name, content in files]
        if len(answers) == 1 and answers[0]["error"]:
            return self.reply(415, said(answers[0]["error"], "Send a JPEG, PNG, TIFF, BMP or WebP."))
        limit = fake.model["threshold"] and {key: fake.model["threshold"][key] for key in ("class_name", "value")}
        return self.reply(200, {"model": fake.model["name"], "threshold": limit, "images": answers})

    def allowed(self) -> bool:
        return not self.owner.token or self.headers["Authorization"] == f"Bearer {self.owner.token}"

    def reply(self, status: int, content: dict, headers: dict | None = None) -> None:
        self.give(status, "application/json", json.dumps(content).encode(), headers)

    def give(self, status: int, kind: str, content: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        standard = {
            "Content-Type": kind, "Content-Length": str(len(content)), "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        for name, value in {**standard, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def said(problem: str, fix: str) -> dict:
    return {"error": {"problem": problem, "fix": fix}}


REFUSED = (401, said("this server wants its token", "send Authorization: Bearer TOKEN"))
