"""What nobody should send: each is refused before anything is decoded, in words, and the next image is answered."""

import io
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from serving_images import hostile_uploads, png_bomb, png_header

HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


def refused(response, status, *words):
    """It is refused in the one form that all failures have, with all the strict headers."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"problem", "fix"} and error["problem"] and error["fix"]
    for word in words:
        assert word in f"{error['problem']} {error['fix']}", error
    assert all(name in response.headers for name in HEADERS)
    return error


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 422, "the file is empty"),
        (b"notes on my leaves\n", 415, "it is text, not an image send"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', 415, "an SVG drawing"),
        (b"<!DOCTYPE html><script>alert(1)</script>", 415, "a web page"),
        (b"PK\x03\x04" + bytes(50), 415, "a ZIP archive"),
        (b"\x1f\x8b" + bytes(50), 415, "a gzip archive"),
        (b"%PDF-1.7", 415, "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", 415, "PostScript"),
        (b"\x80\x04\x95cposix", 415, "a pickle"),
        (b"GIF89a" + bytes(50), 415, "it is a GIF, which is not read here send"),
        (b"\0\0\0\x18ftypmp42" + bytes(50), 415, "a video"),
        (bytes(500), 415, "something else"),
        (png_header(30_000, 30_000), 413, "30,000 x 30,000 pixels"),
        (png_bomb(1100, 1000), 413, "1,100 x 1,000 pixels"),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03", 413, "65,535 x 65,535"),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 40_000, -40_000) + bytes(50), 413, "40,000 x 40,000"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0", 413, "16,384 x 16,384"),
        (png_header(200, 200), 422, "not an image"),
        (b"\xff\xd8\xff" + bytes(300), 422, "a JPEG whose header cannot be read"),
        (b"II*\0" + b"\xff" * 300, 422, "a TIFF whose header cannot be read"),
        (b"BM" + bytes(60), 422, "a BMP"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(40), 422, "a WebP without an image"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_a_small_whole_image_is_refused_by_its_first_bytes(ask, monkeypatch, data, status, says):
    decoded = []
    monkeypatch.setattr("coverslip.serving.answers.decode_one", lambda *a: decoded.append(1) or _real(*a))
    refused(ask({"leaf.jpg": data}), status, says)
    assert not decoded or data == png_header(200, 200)


def _real(*arguments):
    from coverslip.data.decoding import decode_one

    return decode_one(*arguments)


def test_a_truncated_image_is_refused_and_one_with_an_archive_behind_it_is_just_an_image(ask, image):
    whole = image("JPEG", (200, 150))
    refused(ask({"half.jpg": whole[: len(whole) // 2]}), 422, "truncated")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.html", "<script>alert(1)</script>")
    plain, both = (ask({"leaf.jpg": data}).json()["images"][0] for data in (whole, whole + archive.getvalue()))
    assert plain == both and plain["error"] is None


def tiff(pixels, **options):
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def test_a_tiff_that_claims_more_than_it_holds_is_refused_before_its_reader_believes_it(ask):
    """Each of these is about a kilobyte; believed, the first two would take many gigabytes of memory."""
    plane = np.full((30, 40), 7, np.uint8)
    ome = tiff(np.stack([plane] * 4), photometric="minisblack", ome=True, metadata={"axes": "TYX"})
    xml = re.search(rb"<\?xml.*?</OME>", ome, re.DOTALL)[0].replace(b'SizeT="4"', b'SizeT="2147483648"').decode()
    refused(ask({"a.tif": tiff(plane, description=xml, metadata=None)}), 413, "claims 2,147,483,648 planes")
    lies = "ImageJ=1.52\nimages=2000000000\nframes=2000000000\n"
    refused(ask({"b.tif": tiff(plane, description=lies, metadata=None)}), 413, "claims 2,000,000,000 planes")
    wide = tiff(np.zeros((900, 30, 40), np.uint8), photometric="minisblack", ome=True, metadata={"axes": "CYX"})
    assert ask({"c.tif": wide}).status_code in (413, 422)
    slide = tiff(plane, description="Aperio Image Library v1", metadata=None)
    refused(ask({"d.tif": slide}), 415, "'svs'")


def test_what_would_take_minutes_to_decode_is_refused(ask, image):
    buffer = io.BytesIO()
    Image.new("L", (900, 900)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    assert ask({"a.jpg": data}).status_code == 200
    refused(ask({"a.jpg": data[:-2] + last * 5000 + data[-2:]}), 413, "drawn over itself")
    plane = np.zeros((30, 40), np.uint8)
    refused(ask({"b.tif": tiff(plane, compression="lzma")}), 415, "LZMA")
    for kind in ("lzw", "deflate", "zstd", "packbits", None):
        assert ask({"c.tif": tiff(plane, compression=kind)}).status_code == 200, kind


def test_honest_stacks_are_answered_by_their_first_plane(ask):
    planes = np.random.default_rng(0).integers(0, 255, (5, 30, 40), np.uint8)
    for data in (tiff(planes), tiff(planes, ome=True, metadata={"axes": "ZYX"}), tiff(planes[0])):
        answer = ask({"stack.tif": data}).json()["images"][0]
        assert answer["error"] is None and (len(answer["notes"]) == 0) == (data == tiff(planes[0])), answer


def test_an_image_of_another_kind_than_the_model_knows_says_so(ask):
    refused(
        ask({"deep.tif": tiff(np.zeros((30, 40, 3), np.uint16), photometric="rgb")}),
        422,
        "16 bits a channel, the model was trained on 8 convert it to 8 bits a channel",
    )


def test_many_files_are_answered_one_by_one_and_of_many_bad_ones_each_says_why(ask, image):
    mixed = ask({"a.jpg": b"text", "b.jpg": image(), "c.png": png_header(30_000, 30_000)})
    assert mixed.status_code == 200
    first, second, third = mixed.json()["images"]
    assert "text" in first["error"] and first["label"] is None and "30,000" in third["error"]
    assert second["error"] is None and second["label"]
    assert third["error"].count("; ") == 1 and first["error"].count("; ") == 1  # the problem; how to mend it
    none = ask({"a.jpg": b"text", "b.jpg": b"<html>"})
    refused(none, 422, "none of the 2 files")
    assert ["text" in each["error"] or "web page" in each["error"] for each in none.json()["images"]] == [True] * 2


def test_a_request_is_bounded_in_files_and_bytes_however_it_is_sent(client, ask, image):
    refused(ask({f"{number}.jpg": image() for number in range(6)}), 413, "more than 5 files")
    refused(ask({"large.bmp": b"BM" + bytes(2_100_000)}), 413, "more than 2 MB")
    head = {"content-type": "multipart/form-data; boundary=x"}

    def endless():  # in chunks, so that no header tells how much comes
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        for _ in range(400):
            yield bytes(10_000)

    refused(client.post("/v1/predict", content=endless(), headers=head), 413, "more than 2 MB")
    refused(client.post("/v1/predict", content=b"", headers=head | {"content-length": "9000000"}), 413)


@pytest.mark.parametrize(
    ("kind", "body", "status", "says"),
    [
        ("application/json", b"{}", 415, "'application/json'"),
        ("", b"", 415, "does not say what it is"),
        ("multipart/form-data", b"", 415, "multipart/form-data"),
        ("multipart/form-data; boundary=x", b"no form at all", 422, "no form that can be read"),
        ("multipart/form-data; boundary=x", b"", 422, "ends before"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "no file in the request"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--\r\n',
            422,
            "did you mean 'files'?",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc',
            422,
            "ends before its last file",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="explain"\r\n\r\nmaybe\r\n'
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc\r\n--x--\r\n',
            422,
            "neither true nor false",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a: b\r\n" * 50, 422, "no form that can be read"),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x", 422, "no form that can be read"),
    ],
)
def test_a_body_that_is_no_form_says_how_to_send_one(client, kind, body, status, says):
    refused(client.post("/v1/predict", content=body, headers={"content-type": kind} if kind else {}), status, says)


def test_wrong_words_are_answered_with_the_right_ones(client, ask, image):
    refused(ask({"a.jpg": image()}, explain="maybe"), 422, "'true'", "'false'")
    refused(ask({"a.jpg": image()}, format="xml"), 422, "'json'", "'csv'")
    refused(ask({"a.jpg": image()}, explian="true"), 422, "no parameter 'explian'", "did you mean 'explain'?")
    refused(ask({"a.jpg": image()}, explain="true", format="csv"), 422, "a table holds no maps", "format=json")
    refused(client.get("/v1/modell"), 404, "did you mean '/v1/model'?")
    refused(client.get("/v1/predict"), 405, "use POST")


@pytest.mark.parametrize(
    "path",
    ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "..\\app.py", "index.html%00", ".", "", "main.js/.."],
)
def test_no_path_leads_to_a_file_that_is_not_of_the_page(client, path):
    response = client.get(f"/static/{path}")
    assert response.status_code == 404 and "import" not in response.text


def test_names_are_shown_and_never_used(ask, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["../../../up.jpg", "C:\\temp\\leaf.jpg", "a\u202egpj.exe", "x" * 500 + ".jpg", "", "naïve 叶.jpg"]
    found = [ask({name: image()}).json()["images"][0]["file"] for name in names]
    assert found[0] == "up.jpg" and found[1] == "leaf.jpg" and "\u202e" not in found[2]
    assert len(found[3]) == 160 and found[5] == "naïve 叶.jpg"
    assert list(tmp_path.iterdir()) == []


def test_every_hostile_upload_of_the_soak_is_survived(ask, image):
    for name, data in hostile_uploads():
        response = ask({name: data})
        assert response.status_code in (200, 413, 415, 422), (name, response.text)
    assert ask({"leaf.jpg": image()}).status_code == 200


def test_a_bomb_in_the_text_of_a_png_costs_nothing(ask, image):
    packed = zlib.compress(bytes(50_000_000), 9)
    text = b"zTXtcomment\0\0" + packed
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    plain = image("PNG")
    response = ask({"text.png": plain[:33] + chunk + plain[33:]})
    assert response.status_code in (200, 422)


def test_an_image_that_is_all_one_color_is_answered_with_a_note(ask):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), "white").save(buffer, "PNG")
    assert "one color" in ask({"white.png": buffer.getvalue()}).json()["images"][0]["notes"][0]
