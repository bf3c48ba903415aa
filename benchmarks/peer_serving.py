"""Serve the same network with other programs, as documented.

peer_serving.py fastapi|litserve RUN PORT
"""

import io
import sys
from typing import Any

import litserve
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from torchvision.transforms import v2 as transforms


def load(run: str) -> tuple[Any, Any, list[str]]:
    """Return the complete network, the preprocessing of an image, and the classes."""
    from coverslip import api
    from coverslip.inference.full_network import full_network

    predictor = api.load(run)
    spec = predictor.spec
    prepare = transforms.Compose(
        [
            transforms.ToImage(),
            transforms.Resize(spec.size, antialias=True),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize(spec.mean, spec.std),
        ]
    )
    return full_network(predictor), prepare, list(predictor.task.classes)


def fastapi_server(run: str, port: int) -> None:
    """Serve with FastAPI and PyTorch, as in their tutorials."""
    network, prepare, classes = load(run)
    app = FastAPI()

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, Any]:
        image = Image.open(file.file).convert("RGB")
        with torch.inference_mode():
            probabilities = network(prepare(image)[None]).softmax(1)[0]
        best = int(probabilities.argmax())
        return {"label": classes[best], "probabilities": dict(zip(classes, probabilities.tolist(), strict=True))}

    uvicorn.run(app, port=port, log_level="warning")


class Model(litserve.LitAPI):
    """Serve with LitServe and batches, as documented."""

    def setup(self, device: str) -> None:
        self.network, self.prepare, self.classes = load(sys.argv[2])

    def decode_request(self, request):  # with a type annotation LitServe would not expect a form
        return self.prepare(Image.open(io.BytesIO(request["file"].file.read())).convert("RGB"))

    def batch(self, inputs: list[Any]) -> Any:
        return torch.stack(inputs)

    def predict(self, batch: Any) -> Any:
        with torch.inference_mode():
            return self.network(batch).softmax(1)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        best = int(output.argmax())
        named = dict(zip(self.classes, output.tolist(), strict=True))
        return {"label": self.classes[best], "probabilities": named}


def litserve_server(run: str, port: int) -> None:
    """Start the server; its process reads the run from the command line."""
    api = Model(max_batch_size=8, batch_timeout=0.01)
    litserve.LitServer(api, accelerator="cpu").run(port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    {"fastapi": fastapi_server, "litserve": litserve_server}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
