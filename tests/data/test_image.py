"""Every type of image file is decoded to the right pixels; every broken file yields a reason."""

import io
import re
import struct
import sys
import threading
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.data import image as image_module
from coverslip.data.image import UnreadableError, decode

RNG = np.random.default_rng(0)
GREY, COLOR, ALPHA = (RNG.integers(0, 256, (5, 7, *last), np.uint8) for last in ((), (3,), (4,)))
DEEP_GREY, DEEP_COLOR = (RNG.integers(0, 65536, (5, 7, *last), np.uint16) for last in ((), (3,)))


def saved(image, form, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def over_white(pixels, alpha, top):
    """Return pixels with transparency blended with white, as viewers show them."""
    opacity = alpha[..., None].astype(np.float64) / top
    return pixels * opacity + top * (1 - opacity)


def png(width, height, depth=8, color=0, rows=None, chunks=()):
    """Return a PNG built from chunks, which may be too large to be created from an array."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    if rows is None:  # blank
        line = b"\0" * (1 + -(-width * depth // 8))
        packer = zlib.compressobj(1)
        rows = b"".join([packer.compress(line) for _ in range(height)] + [packer.flush()])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    extra = b"".join(chunk(name, content) for name, content in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- lossless files are decoded exactly


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(saved(GREY, "PNG"), GREY[..., None], id="grey PNG"),
        pytest.param(saved(COLOR, "PNG"), COLOR, id="color PNG"),
        pytest.param(saved(COLOR, "BMP"), COLOR, id="BMP"),
        pytest.param(saved(COLOR, "WEBP", lossless=True), COLOR, id="lossless WebP"),
        pytest.param(saved(DEEP_GREY, "PNG"), DEEP_GREY[..., None], id="16-bit grey PNG"),
        pytest.param(tiff(GREY), GREY[..., None], id="grey TIFF"),
        pytest.param(tiff(COLOR, photometric="rgb"), COLOR, id="color TIFF"),
        pytest.param(saved(COLOR, "TIFF", compression="tiff_lzw"), COLOR, id="LZW TIFF"),
        pytest.param(saved(COLOR, "TIFF", compression="tiff_adobe_deflate"), COLOR, id="deflate TIFF"),
        pytest.param(tiff(DEEP_GREY), DEEP_GREY[..., None], id="16-bit grey TIFF"),
        pytest.param(tiff(DEEP_GREY, byteorder=">"), DEEP_GREY[..., None], id="16-bit TIFF, big-endian"),
        pytest.param(tiff(DEEP_COLOR, photometric="rgb"), DEEP_COLOR, id="16-bit color TIFF"),
        pytest.param(tiff(COLOR, photometric="rgb", bigtiff=True), COLOR, id="BigTIFF"),
        pytest.param(
            tiff(COLOR.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), COLOR, id="planar color TIFF"
        ),
        pytest.param(tiff(GREY, photometric="miniswhite"), 255 - GREY[..., None], id="TIFF where 0 is white"),
    ],
)
def test_lossless_files_are_decoded_exactly(data, expected):
    decoded = decode(data)
    assert decoded.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(decoded.pixels, expected)
    assert (decoded.height, decoded.width, decoded.pages, decoded.reoriented) == (5, 7, 1, False)


@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", ["interleaved", "planes of one page", "pages", "OME", "ImageJ"])
def test_images_of_two_and_five_channels_keep_every_channel_and_depth(channels, depth, layout):
    pixels = RNG.integers(0, np.iinfo(depth).max + 1, (5, 7, channels), depth)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    data = {
        "interleaved": lambda: tiff(pixels, photometric="minisblack", planarconfig="contig"),
        "planes of one page": lambda: tiff(planes, photometric="minisblack", planarconfig="separate"),
        "pages": lambda: tiff(planes, photometric="minisblack", metadata={"axes": "CYX"}),
        "OME": lambda: tiff(planes, photometric="minisblack", ome=True, metadata={"axes": "CYX"}),
        "ImageJ": lambda: tiff(planes, imagej=True, metadata={"axes": "CYX"}),
    }[layout]()
    decoded = decode(data)
    assert decoded.pixels.dtype == depth and decoded.mode == f"{np.dtype(depth).name}x{channels}"
    np.testing.assert_array_equal(decoded.pixels, pixels)


def test_16_bit_color_png_keeps_its_depth():
    from imagecodecs import png_encode

    decoded = decode(png_encode(DEEP_COLOR))
    assert decoded.pixels.dtype == np.uint16
    np.testing.assert_array_equal(decoded.pixels, DEEP_COLOR)


def test_one_bit_images_become_black_and_white():
    bits = np.array([[True, False, True], [False, False, True]])
    expected = np.where(bits, 255, 0).astype(np.uint8)[..., None]
    white_is_1 = tiff(bits, photometric="minisblack")
    for data in (saved(Image.fromarray(bits), "PNG"), saved(Image.fromarray(bits), "TIFF"), white_is_1):
        np.testing.assert_array_equal(decode(data).pixels, expected)
    np.testing.assert_array_equal(decode(tiff(bits, photometric="miniswhite")).pixels, 255 - expected)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_a_palette_is_converted_to_its_colors(form):
    indices = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    indices.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    decoded = decode(saved(indices, form))
    assert decoded.mode.startswith(("P", "uint8"))
    np.testing.assert_array_equal(
        decoded.pixels,
        np.array([[[255, 0, 0], [0, 255, 0], [10, 20, 30]], [[10, 20, 30], [0, 255, 0], [255, 0, 0]]], np.uint8),
    )


def test_transparency_is_blended_with_white():
    expected = over_white(ALPHA[..., :3], ALPHA[..., 3], 255)
    for data in (
        saved(ALPHA, "PNG"),
        saved(ALPHA, "TIFF"),
        tiff(ALPHA, photometric="rgb", extrasamples=["unassalpha"]),
    ):
        pixels = decode(data).pixels
        assert pixels.shape == (5, 7, 3)
        assert np.abs(pixels - expected).max() <= 1
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA[..., 3])])
    pixels = decode(saved(grey, "PNG")).pixels
    assert pixels.shape == (5, 7, 1)
    assert np.abs(pixels[..., 0] - over_white(GREY[..., None], ALPHA[..., 3], 255)[..., 0]).max() <= 1


def test_16_bit_transparency_is_blended_with_white():
    from imagecodecs import png_encode

    alpha = RNG.integers(0, 65536, (5, 7), np.uint16)
    pixels = decode(png_encode(np.dstack([DEEP_COLOR, alpha]))).pixels
    assert pixels.dtype == np.uint16 and pixels.shape == (5, 7, 3)
    assert np.abs(pixels - over_white(DEEP_COLOR, alpha, 65535)).max() <= 1


def test_a_transparent_color_becomes_white():
    """PNG can declare one color, grey value or palette entry as transparent."""
    color, grey = COLOR.copy(), GREY.copy()
    color[0, 0], grey[0, 0] = (1, 2, 3), 7
    pixels = decode(saved(color, "PNG", transparency=(1, 2, 3))).pixels
    np.testing.assert_array_equal(pixels[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(pixels[1:], color[1:])
    pixels = decode(saved(np.where(grey == 7, 7, grey), "PNG", transparency=7)).pixels
    assert pixels.shape == (5, 7, 1)
    np.testing.assert_array_equal(pixels[..., 0], np.where(grey == 7, 255, grey))
    indices = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    indices.putpalette([255, 0, 0, 0, 255, 0])
    np.testing.assert_array_equal(decode(saved(indices, "PNG", transparency=0)).pixels, [[[255] * 3, [0, 255, 0]]])


# ---------------------------------------------------------------- JPEG and HEIC are decoded approximately


def smooth(height=48, width=64):
    """Return an image that JPEG changes little."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 127 + 0 * x], axis=-1).astype(np.uint8)


def test_jpeg_in_color_grey_and_cmyk():
    image = Image.fromarray(smooth())
    assert np.abs(decode(saved(image, "JPEG", quality=95)).pixels.astype(int) - smooth()).max() <= 12
    grey = decode(saved(image.convert("L"), "JPEG", quality=95))
    assert grey.pixels.shape == (48, 64, 1) and grey.mode == "L"
    cmyk = decode(saved(image.convert("CMYK"), "JPEG", quality=95))
    assert cmyk.mode == "CMYK" and cmyk.pixels.shape == (48, 64, 3)
    assert np.abs(cmyk.pixels.astype(int) - smooth()).mean() <= 4


def test_heic_is_decoded():
    pytest.importorskip("pillow_heif").register_heif_opener()
    decoded = decode(saved(Image.fromarray(smooth()), "HEIF", quality=95))
    assert decoded.pixels.shape == (48, 64, 3)
    assert np.abs(decoded.pixels.astype(int) - smooth()).mean() <= 4


def test_the_error_for_heic_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableError, match=r"coverslip\[heic\]"):
        decode(b"\0\0\0\x18ftypheic" + b"\0" * 40)


ORIENTATIONS = {  # EXIF orientation -> function from the stored array to the upright image
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ORIENTATIONS[orientation](COLOR)
    palette = Image.fromarray(COLOR).quantize(256)
    stored = np.asarray(palette.convert("RGB"))
    for data, expected in (
        (saved(COLOR, "PNG", exif=exif), upright),
        (saved(COLOR, "TIFF", exif=exif), upright),
        (tiff(COLOR, photometric="rgb", extratags=[(274, "H", 1, orientation)]), upright),
        (saved(palette, "TIFF", exif=exif), ORIENTATIONS[orientation](stored)),
    ):
        decoded = decode(data)
        np.testing.assert_array_equal(decoded.pixels, expected)
        assert (decoded.height, decoded.width) == expected.shape[:2]
        assert decoded.reoriented == (orientation != 1)
    big = np.kron(COLOR, np.ones((16, 16, 1), np.uint8))  # blocks that survive JPEG
    jpeg = decode(saved(big, "JPEG", quality=100, subsampling=0, exif=exif))
    assert np.abs(jpeg.pixels.astype(int) - ORIENTATIONS[orientation](big)).mean() < 2


def test_exif_orientation_is_applied_to_a_jpeg_decoded_at_reduced_scale():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((400, 800, 3), np.uint8)
    stored[:, :400, 0] = 255  # red on the left as stored, at the top when upright
    decoded = decode(saved(stored, "JPEG", quality=95, exif=exif), (50, 50))
    assert (decoded.height, decoded.width) == (800, 400) and decoded.reoriented
    height, width = decoded.pixels.shape[:2]
    assert width < 400 and height == 2 * width
    top, bottom = decoded.pixels[: height // 2 - 8, :, 0], decoded.pixels[height // 2 + 8 :, :, 0]
    assert top.mean() > 200 and bottom.mean() < 50


# ---------------------------------------------------------------- stacks


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX", "TZCYX"])
def test_the_first_plane_of_a_stack_keeps_all_its_channels_in_any_order_of_axes(axes):
    shape = [{"T": 2, "Z": 4, "C": 3, "Y": 5, "X": 7}[axis] for axis in axes]
    stack = RNG.integers(0, 65536, shape, np.uint16)
    decoded = decode(tiff(stack, ome=True, photometric="minisblack", metadata={"axes": axes}))
    plane = stack[tuple(slice(None) if axis in "CYX" else 0 for axis in axes)]
    np.testing.assert_array_equal(decoded.pixels, plane.transpose(1, 2, 0))
    assert decoded.pages == stack.size // (3 * 5 * 7)


@pytest.mark.parametrize("comment", ["ome", "ImageJ=1.52\nimages=2000000000\nframes=2000000000\n"])
def test_a_tiff_that_claims_billions_of_planes_is_rejected_before_they_are_listed(comment):
    if comment == "ome":
        stack = tiff(np.stack([GREY] * 4), photometric="minisblack", ome=True, metadata={"axes": "TYX"})
        xml = re.search(rb"<\?xml.*?</OME>", stack, re.DOTALL)[0]
        comment = xml.replace(b'SizeT="4"', b'SizeT="2147483648"').decode()
    with pytest.raises(UnreadableError, match=r"2,(000,000,000|147,483,648) planes"):
        decode(tiff(GREY, description=comment, metadata=None))


def test_the_first_page_of_a_tiff_with_several_pages_is_used():
    pages = [Image.fromarray(RNG.integers(0, 256, (5, 7, 3), np.uint8)) for _ in range(3)]
    decoded = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    np.testing.assert_array_equal(decoded.pixels, np.asarray(pages[0]))
    assert decoded.pages == 3
    stack = RNG.integers(0, 65536, (6, 5, 7), np.uint16)
    decoded = decode(tiff(stack, photometric="minisblack"))
    np.testing.assert_array_equal(decoded.pixels[..., 0], stack[0])
    assert decoded.pages == 6


# ---------------------------------------------------------------- broken, malicious and too large files


def lossy(size=64):
    return saved(RNG.integers(0, 256, (size, size, 3), np.uint8), "JPEG")


def deep_tiff():
    return tiff(RNG.integers(0, 65536, (64, 64), np.uint16))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"\0", "not an image", id="one byte"),
        pytest.param(b"path,label\na.jpg,rust\n", "not an image", id="text"),
        pytest.param(b"<!DOCTYPE html><title>404</title>", "not an image", id="a web page saved as an image"),
        pytest.param(lossy()[:700], "truncated", id="half a JPEG"),
        pytest.param(lossy()[:3], "not an image", id="three bytes of a JPEG"),
        pytest.param(saved(COLOR, "PNG")[:60], "decoded", id="half a PNG"),
        pytest.param(saved(DEEP_GREY, "PNG")[:60], "decoded", id="half a 16-bit PNG"),
        pytest.param(saved(COLOR, "PNG")[:25], "", id="a PNG without its header"),
        pytest.param(deep_tiff()[:4000], "decoded", id="half a TIFF"),
        pytest.param(b"II*\0\x08\0\0\0", "", id="the start of a TIFF"),
        pytest.param(b"II*\0" + b"\xff" * 200, "", id="a TIFF of noise"),
        pytest.param(b"\0\0\0\x18ftypheic" + b"\0" * 40, "", id="the start of a HEIC"),
        pytest.param(tiff(np.full((4, 4), np.nan, np.float32)), "NaN", id="floating-point TIFF with NaN"),
        pytest.param(tiff(np.ones((4, 4), np.complex64)), "complex64", id="complex TIFF"),
    ],
)
def test_a_broken_file_yields_a_reason_in_one_line(data, reason):
    with pytest.raises(UnreadableError) as caught:
        decode(data, (32, 32))
    text = str(caught.value)
    assert reason in text
    assert "\n" not in text and len(text) < 250


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_images_one_pixel_wide_or_high_are_decoded(size):
    pixels = np.full((*size, 3), 77, np.uint8)
    np.testing.assert_array_equal(decode(saved(pixels, "PNG"), (32, 32)).pixels, pixels)
    assert decode(saved(pixels, "JPEG"), (32, 32)).pixels.shape == pixels.shape


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: png(30_000, 30_000, 1), id="1-bit PNG"),
        pytest.param(lambda: png(30_000, 30_000, 16, rows=b""), id="16-bit PNG"),
        pytest.param(lambda: png(12_000, 12_000, 8, rows=zlib.compress(b"")), id="8-bit PNG of 144 million pixels"),
        pytest.param(lambda: tiff_header(30_000, 30_000), id="TIFF"),
    ],
)
def test_too_large_images_are_rejected_before_they_are_decoded(data):
    import tracemalloc

    data = data()
    tracemalloc.start()
    with pytest.raises(UnreadableError, match=r"too large: (30,000 x 30,000|12,000 x 12,000) pixels"):
        decode(data, (224, 224))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def tiff_header(width, height):
    """Return a TIFF whose header claims a large image, without its pixels."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 4, height), (279, 4, 16)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 24) + b"\0" * 16 + struct.pack("<H", len(tags)) + body + b"\0" * 4


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # the program ignores it; pytest does not
def test_a_jpeg_of_12000_by_12000_pixels_is_decoded_at_an_eighth_of_its_scale():
    data = saved(Image.new("RGB", (12_000, 12_000), (200, 100, 50)), "JPEG", quality=30)
    decoded = decode(data, (224, 224))
    assert decoded.pixels.shape == (1500, 1500, 3) and (decoded.width, decoded.height) == (12_000, 12_000)
    np.testing.assert_allclose(decoded.pixels[700, 700], [200, 100, 50], atol=4)


def test_a_decompression_bomb_in_a_comment_is_not_unpacked():
    bomb = zlib.compress(b"a" * 200_000_000, 9)
    data = png(8, 8, chunks=[(b"zTXt", b"Comment\0\0" + bomb)])
    try:
        assert decode(data).pixels.shape == (8, 8, 1)
    except UnreadableError as error:
        assert "\n" not in str(error)


def test_large_images_are_decoded_one_at_a_time(monkeypatch):
    """Two threads with an image of 100 million pixels each would not fit a laptop."""
    monkeypatch.setattr(image_module, "BIG_PIXELS", 10)
    with image_module._large_image_lock:
        for data in (saved(COLOR, "PNG"), saved(DEEP_GREY, "PNG"), tiff(DEEP_GREY)):
            thread = threading.Thread(target=decode, args=(data,), daemon=True)
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
