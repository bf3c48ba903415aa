"""Invalid and hostile uploads are refused with an explanation before decoding, and the server continues to answer."""

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


def assert_refused(response, status, *words):
    """Assert that the response is an error in the uniform format, with all security headers."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"problem", "fix"} and error["problem"] and error["fix"]
    for word in words:
        assert word in f"{error['problem']} {error['fix']}", error
    assert all(name in response.headers for name in HEADERS)
    return error


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 422, "the file is empty"),
        (b"notes on my leaves\n", 415, "the file is text, not an image send"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', 415, "an SVG drawing"),
        (b"<!DOCTYPE html><script>alert(1)</script>", 415, "a web page"),
        (b"PK\x03\x04" + bytes(50), 415, "a ZIP archive"),
        (b"\x1f\x8b" + bytes(50), 415, "a gzip archive"),
        (b"%PDF-1.7", 415, "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", 415, "PostScript"),
        (b"\x80\x04\x95cposix", 415, "pickle"),
        (b"GIF89a" + bytes(50), 415, "a GIF; this format is not supported"),
        (b"\0\0\0\x18ftypmp42" + bytes(50), 415, "a video"),
        (bytes(500), 415, "not an image"),
        (png_header(30_000, 30_000), 413, "30,000 x 30,000 pixels"),
        (png_bomb(1100, 1000), 413, "1,100 x 1,000 pixels"),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03", 413, "65,535 x 65,535"),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 40_000, -40_000) + bytes(50), 413, "40,000 x 40,000"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0", 413, "16,384 x 16,384"),
        (png_header(200, 200), 422, "not an image"),
        (b"\xff\xd8\xff" + bytes(300), 422, "header of the JPEG"),
        (b"II*\0" + b"\xff" * 300, 422, "header of the TIFF"),
        (b"BM" + bytes(60), 422, "BMP"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(40), 422, "WebP file contains no image"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_other_files_and_images_that_are_too_large_are_refused_by_their_header(
    predict, monkeypatch, data, status, words
):
    decoded = []
    monkeypatch.setattr("coverslip.serving.answers.decode_one", lambda *a: decoded.append(1) or _real(*a))
    assert_refused(predict({"leaf.jpg": data}), status, words)
    assert not decoded or data == png_header(200, 200)


def _real(*arguments):
    from coverslip.data.decoding import decode_one

    return decode_one(*arguments)


def test_a_truncated_image_is_refused_and_data_after_an_image_is_ignored(predict, image):
    whole = image("JPEG", (200, 150))
    assert_refused(predict({"half.jpg": whole[: len(whole) // 2]}), 422, "truncated")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.html", "<script>alert(1)</script>")
    plain, both = (predict({"leaf.jpg": data}).json()["images"][0] for data in (whole, whole + archive.getvalue()))
    assert plain == both and plain["error"] is None


def tiff(pixels, **options):
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def test_a_tiff_that_claims_more_planes_than_it_contains_is_refused(predict):
    """Each file has about a kilobyte; a reader that trusts the first two would need many gigabytes of memory."""
    plane = np.full((30, 40), 7, np.uint8)
    ome = tiff(np.stack([plane] * 4), photometric="minisblack", ome=True, metadata={"axes": "TYX"})
    xml = re.search(rb"<\?xml.*?</OME>", ome, re.DOTALL)[0].replace(b'SizeT="4"', b'SizeT="2147483648"').decode()
    assert_refused(predict({"a.tif": tiff(plane, description=xml, metadata=None)}), 413, "claims 2,147,483,648 planes")
    lies = "ImageJ=1.52\nimages=2000000000\nframes=2000000000\n"
    assert_refused(predict({"b.tif": tiff(plane, description=lies, metadata=None)}), 413, "claims 2,000,000,000 planes")
    wide = tiff(np.zeros((900, 30, 40), np.uint8), photometric="minisblack", ome=True, metadata={"axes": "CYX"})
    assert predict({"c.tif": wide}).status_code in (413, 422)
    slide = tiff(plane, description="Aperio Image Library v1", metadata=None)
    assert_refused(predict({"d.tif": slide}), 415, "'svs'")


def test_files_that_take_minutes_to_decode_are_refused(predict, image):
    buffer = io.BytesIO()
    Image.new("L", (900, 900)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    assert predict({"a.jpg": data}).status_code == 200
    assert_refused(predict({"a.jpg": data[:-2] + last * 5000 + data[-2:]}), 413, "scans")
    plane = np.zeros((30, 40), np.uint8)
    assert_refused(predict({"b.tif": tiff(plane, compression="lzma")}), 415, "LZMA")
    for compression in ("lzw", "deflate", "zstd", "packbits", None):
        assert predict({"c.tif": tiff(plane, compression=compression)}).status_code == 200, compression


def test_the_first_plane_of_a_valid_stack_is_predicted(predict):
    planes = np.random.default_rng(0).integers(0, 255, (5, 30, 40), np.uint8)
    for data in (tiff(planes), tiff(planes, ome=True, metadata={"axes": "ZYX"}), tiff(planes[0])):
        answer = predict({"stack.tif": data}).json()["images"][0]
        assert answer["error"] is None
        stack = any("grey" not in note for note in answer["notes"])  # the model was trained on color images
        assert stack == (data != tiff(planes[0])), answer


def test_a_bit_depth_that_the_model_does_not_support_is_refused(predict):
    assert_refused(
        predict({"deep.tif": tiff(np.zeros((30, 40, 3), np.uint16), photometric="rgb")}),
        422,
        "16 bits",
        "convert it to 8 bits",
    )


def test_several_files_have_separate_answers_and_errors(predict, image):
    mixed = predict({"a.jpg": b"text", "b.jpg": image(), "c.png": png_header(30_000, 30_000)})
    assert mixed.status_code == 200
    first, second, third = mixed.json()["images"]
    assert "text" in first["error"] and first["label"] is None and "30,000" in third["error"]
    assert second["error"] is None and second["label"]
    assert third["error"].count("; ") == 1 and first["error"].count("; ") == 1  # "problem; fix"
    none = predict({"a.jpg": b"text", "b.jpg": b"<html>"})
    assert_refused(none, 422, "none of the 2 files")
    first, second = none.json()["images"]
    assert "text" in first["error"] and "web page" in second["error"]


def test_the_limits_of_files_and_bytes_apply_to_every_transfer(client, predict, image):
    assert_refused(predict({f"{number}.jpg": image() for number in range(6)}), 413, "more than 5 files")
    assert_refused(predict({"large.bmp": b"BM" + bytes(2_100_000)}), 413, "more than 2 MB")
    headers = {"content-type": "multipart/form-data; boundary=x"}

    def endless():  # in chunks, so that no header states the size
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        for _ in range(400):
            yield bytes(10_000)

    assert_refused(client.post("/v1/predict", content=endless(), headers=headers), 413, "more than 2 MB")
    assert_refused(client.post("/v1/predict", content=b"", headers=headers | {"content-length": "9000000"}), 413)


@pytest.mark.parametrize(
    ("media_type", "body", "status", "words"),
    [
        ("application/json", b"{}", 415, "'application/json'"),
        ("", b"", 415, "Content-Type"),
        ("multipart/form-data", b"", 415, "multipart/form-data"),
        ("multipart/form-data; boundary=x", b"no form at all", 422, "not valid multipart/form-data"),
        ("multipart/form-data; boundary=x", b"", 422, "incomplete"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "contains no file"),
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
            "incomplete",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="explain"\r\n\r\nmaybe\r\n'
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc\r\n--x--\r\n',
            422,
            "neither true nor false",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a: b\r\n" * 50, 422, "not valid multipart/form-data"),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x", 422, "not valid multipart/form-data"),
    ],
)
def test_an_invalid_body_is_refused_with_an_example(client, media_type, body, status, words):
    headers = {"content-type": media_type} if media_type else {}
    assert_refused(client.post("/v1/predict", content=body, headers=headers), status, words)


def test_invalid_parameters_and_addresses_get_a_suggestion(client, predict, image):
    assert_refused(predict({"a.jpg": image()}, explain="maybe"), 422, "'true'", "'false'")
    assert_refused(predict({"a.jpg": image()}, format="xml"), 422, "'json'", "'csv'")
    assert_refused(predict({"a.jpg": image()}, explian="true"), 422, "'explian'", "did you mean 'explain'?")
    assert_refused(predict({"a.jpg": image()}, explain="true", format="csv"), 422, "cannot contain maps", "format=json")
    assert_refused(client.get("/v1/modell"), 404, "did you mean '/v1/model'?")
    assert_refused(client.get("/v1/predict"), 405, "use POST")


@pytest.mark.parametrize(
    "path",
    ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "..\\app.py", "index.html%00", ".", "", "main.js/.."],
)
def test_paths_outside_of_the_page_do_not_exist(client, path):
    response = client.get(f"/static/{path}")
    assert response.status_code == 404 and "import" not in response.text


def test_file_names_are_cleaned_and_never_used_as_paths(predict, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["../../../up.jpg", "C:\\temp\\leaf.jpg", "a\u202egpj.exe", "x" * 500 + ".jpg", "", "naïve 叶.jpg"]
    shown = [predict({name: image()}).json()["images"][0]["file"] for name in names]
    assert shown[0] == "up.jpg" and shown[1] == "leaf.jpg" and "\u202e" not in shown[2]
    assert len(shown[3]) == 160 and shown[5] == "naïve 叶.jpg"
    assert list(tmp_path.iterdir()) == []


def test_the_server_survives_every_hostile_upload_of_the_benchmark(predict, image):
    for name, data in hostile_uploads():
        response = predict({name: data})
        assert response.status_code in (200, 413, 415, 422), (name, response.text)
    assert predict({"leaf.jpg": image()}).status_code == 200


def test_compressed_text_in_a_png_is_not_expanded(predict, image):
    packed = zlib.compress(bytes(50_000_000), 9)
    text = b"zTXtcomment\0\0" + packed
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    plain = image("PNG")
    response = predict({"text.png": plain[:33] + chunk + plain[33:]})
    assert response.status_code in (200, 422)


def test_an_image_of_one_color_gets_a_note(predict):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), "white").save(buffer, "PNG")
    assert "same color" in predict({"white.png": buffer.getvalue()}).json()["images"][0]["notes"][0]
