"""Weights from packages, hubs and files; invalid ones; and that they are downloaded once."""

import hashlib
import urllib.error
import urllib.request

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from coverslip.core.errors import UserError
from coverslip.models import hub, timm_family, torchvision_family
from coverslip.models.catalog import build_network, network_entry
from coverslip.models.design import Design
from coverslip.models.pretrained import load_matching_weights
from coverslip.models.weights import file_weights, pretrained_weights


@pytest.fixture(autouse=True)
def no_connection(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no connection in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path / "cache"))


def write_hub_file(tmp_path, content=b"weights"):
    path = tmp_path / f"tiny-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    return path


def test_weights_are_downloaded_once_and_verified(tmp_path, monkeypatch):
    source = write_hub_file(tmp_path)
    offline = urllib.request.urlopen
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    got = hub.fetch_torch_hub(source.as_uri())
    assert got.read_bytes() == b"weights" and got != source
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    assert hub.fetch_torch_hub(source.as_uri()) == got
    got.write_bytes(b"wEights")
    with pytest.raises(UserError, match="checksum differs"):
        hub.fetch_torch_hub(source.as_uri())


def test_without_a_connection_the_error_names_the_file_and_its_location(own_cache):
    with pytest.raises(UserError, match=r"(?s)resnet18-f37072fd.pth.*no connection.*copy the file to .*checkpoints"):
        pretrained_weights(Design(network="resnet18"))
    assert not network_entry("resnet18").has_weights()
    assert network_entry("efficientnet-lite0").has_weights()


def test_resnet_weights_are_adapted_to_the_channels_and_cached(tmp_path, monkeypatch, own_cache):
    library = torchvision.models.resnet18()
    torch.save(library.state_dict(), tmp_path / "resnet18.pth")
    monkeypatch.setattr(torchvision_family, "fetch_torch_hub", lambda url: tmp_path / "resnet18.pth")
    design = Design(network="resnet18", channels=1, size=(64, 64))
    weights = pretrained_weights(design)
    torch.testing.assert_close(weights["stem.conv.weight"], library.conv1.weight.detach().sum(1, keepdim=True))
    assert not any(name.startswith("classifier") for name in weights)
    (tmp_path / "resnet18.pth").unlink()
    again = pretrained_weights(design)
    assert again.keys() == weights.keys() and all(torch.equal(again[name], weights[name]) for name in again)

    with pytest.raises(UserError, match="does not exist"):  # the cached weights are for one channel
        pretrained_weights(Design(network="resnet18", size=(64, 64)))


def test_any_timm_network_loads_weights_of_the_hub(tmp_path, monkeypatch, own_cache):
    import timm

    library = timm.create_model("mobilenetv3_small_050.lamb_in1k").eval()
    save_file(library.state_dict(), tmp_path / "model.safetensors")
    requested = []
    monkeypatch.setattr(
        timm_family, "fetch_hugging_face", lambda *names: requested.append(names) or tmp_path / "model.safetensors"
    )
    design = Design(network="mobilenetv3_small_050.lamb_in1k", size=(64, 64))
    weights = pretrained_weights(design)
    assert requested == [("timm/mobilenetv3_small_050.lamb_in1k", "model.safetensors")]
    network = build_network(design, 3).eval()
    missing = network.load_state_dict(weights, strict=False)
    assert missing.missing_keys == ["classifier.weight", "classifier.bias"] and not missing.unexpected_keys
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = library.forward_head(library.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.before("classifier")(images), features)


def test_files_of_the_hugging_face_hub_are_verified(tmp_path, monkeypatch):
    import huggingface_hub

    content = b"weights"
    blob = tmp_path / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *names: str(link))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: str(link))
    assert hub.fetch_hugging_face("timm/some") == link
    blob.write_bytes(b"wEights")
    with pytest.raises(UserError, match="checksum differs"):
        hub.fetch_hugging_face("timm/some")


def test_an_unreachable_hub_is_an_immediate_error(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *names: pytest.fail("it would try for half a minute")
    )
    with pytest.raises(
        UserError, match=r"timm/some/model\.safetensors are not on this computer.*no connection in tests"
    ):
        hub.fetch_hugging_face("timm/some")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("convnextv2_atto.fcmae", "'cc-by-nc-4.0', which does not allow commercial use"),
        ("dla60_res2net.in1k", "'unknown'"),
        ("convnext_base.dinov3_lvd1689m", "its own terms"),
    ],
)
def test_weights_with_a_restrictive_licence_are_refused_before_download(name, words, monkeypatch, own_cache):
    monkeypatch.setattr(timm_family, "fetch_hugging_face", lambda *names: pytest.fail("fetched"))
    with pytest.raises(UserError, match=words):
        pretrained_weights(Design(network=name))


def test_a_network_without_pretrained_weights_is_an_error():
    with pytest.raises(UserError, match="no pretrained weights for the network 'cnn'"):
        pretrained_weights(Design(network="cnn"))


def test_mismatched_tensors_are_listed():
    network = build_network(Design(network="mlp", size=(2, 2), hidden=(4,)), 2)
    given = network.state_dict()
    given["hidden1.0.weight"] = torch.zeros(4, 27)
    given["other"] = given.pop("classifier.bias")
    with pytest.raises(UserError) as refused:
        load_matching_weights(network, given, "the file 'x'")
    assert "matches 2 of the 4 tensors" in refused.value.problem
    assert "hidden1.0.weight is 4 x 27, not 4 x 12" in refused.value.problem
    assert "classifier.bias is missing; other is unexpected" in refused.value.problem


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_another_training_are_loaded_without_their_classifier(tmp_path, suffix):
    design = Design(network="cnn-full", size=(16, 16))
    state = build_network(design, 9).state_dict()
    path = tmp_path / f"mine.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)
    found = file_weights(design, path)
    assert found and all(torch.equal(found[name], state[name]) for name in found)
    run_weights = {f"frozen.{name}": each for name, each in state.items() if not name.startswith("classifier")}
    save_file(
        {**run_weights, "head.weight": torch.zeros(9, 128), "trust.center": torch.zeros(4)},
        tmp_path / "run.safetensors",
    )
    assert file_weights(design, tmp_path / "run.safetensors").keys() == found.keys()
    with pytest.raises(UserError, match=r"block4\.0.weight is missing"):
        file_weights(Design(network="cnn-full", size=(16, 16), filters=(32, 64, 128, 8)), path)


def test_a_file_of_the_library_is_loaded_by_order_and_adapted_to_the_channels(tmp_path):
    library = torchvision.models.resnet18(num_classes=5)
    torch.save(library.state_dict(), tmp_path / "r.pth")
    found = file_weights(Design(network="resnet18", channels=5), tmp_path / "r.pth")
    assert found["stem.conv.weight"].shape == (64, 5, 7, 7)
    assert torch.equal(found["layer4.1.conv2.weight"], library.layer4[1].conv2.weight)


def test_a_file_that_is_not_a_state_dict_is_an_error(tmp_path):
    torch.save({"state_dict": {"a": 1}}, tmp_path / "a.pth")
    torch.save(torchvision.models.resnet18, tmp_path / "code.pth")
    (tmp_path / "b.pth").write_bytes(b"nothing")
    (tmp_path / "c.safetensors").write_bytes(b"nothing")
    for name, words in (
        ("a.pth", "not a state dict"),
        ("code.pth", "could execute code"),
        ("b.pth", "corrupt|could execute code"),
        ("c.safetensors", "corrupt"),
        ("d.pth", "does not exist"),
    ):
        with pytest.raises(UserError, match=words):
            file_weights(Design(network="resnet18"), tmp_path / name)
