"""``coverslip networks``: the table of networks and the state of their weights."""

from coverslip.models.catalog import network_names


def test_every_network_is_listed_with_its_weights(coverslip, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    lines = {line.split()[0]: line for line in coverslip("networks").done().out.splitlines() if line.split()}
    assert set(network_names()) <= set(lines)
    for name, words in (("efficientnet-lite0", "on disk"), ("resnet18", "download"), ("cnn", "none")):
        assert words in lines[name]
    assert "11.2 M" in lines["resnet18"] and "BSD-3-Clause" in lines["resnet18"]


def test_names_of_timm_are_listed_by_a_pattern(coverslip):
    assert coverslip("networks", "--all", "resnet18*a1").done().out.split() == ["resnet18.a1_in1k"]
    coverslip("networks", "--all", "no-such").refused("'no-such'", "shorter pattern")
