from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import struct
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from lpt_core import DataError, ImageRef, Problem
from lpt_synth import images
from lpt_synth.config import PixelPolicy
from lpt_synth.images import ImageCache, encode_image, inspect_image, resized_size

LIMIT = 178_956_970
PNG = PixelPolicy(format="png")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """A picture that does not compress to nothing."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    seed = hashlib.sha256(b"noise").digest()
    stream = b"".join(
        hashlib.sha256(seed + struct.pack("I", n)).digest()
        for n in range(width * height * channels // 32 + 1)
    )
    return Image.frombytes(mode, (width, height), stream[: width * height * channels])


def oriented(value: int) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = value
    return {"exif": exif.tobytes()}


def png_of_size(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def put(tmp_path):
    def write(data: bytes, name: str = "x.jpg") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def inspect(path: Path, max_pixels: int = LIMIT) -> ImageRef | Problem:
    return inspect_image(path, where="captions.jsonl:7", max_pixels=max_pixels)


def pixels(path: Path, policy: PixelPolicy = PNG) -> Image.Image:
    image = Image.open(io.BytesIO(encode_image(path, policy)))
    image.load()
    assert image.mode == "RGB"
    return image


# ---- inspection ------------------------------------------------------------------------------------

ALL = [
    ("RGB", "JPEG", {}),
    ("L", "JPEG", {}),
    ("CMYK", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("RGBA", "PNG", {}),
    ("P", "PNG", {}),
    ("1", "PNG", {}),
    ("I;16", "PNG", {}),
    ("RGB", "WEBP", {}),
    ("RGBA", "WEBP", {"lossless": True}),
    ("RGB", "BMP", {}),
    ("P", "GIF", {}),
    ("RGB", "TIFF", {}),
    ("RGB", "TIFF", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize(("mode", "kind", "options"), ALL)
def test_every_format_is_inspected_and_encoded_whatever_its_name(put, mode, kind, options):
    base = noise(70, 50, "L") if mode in ("1", "I;16", "P") else noise(70, 50, mode)
    data = saved(base if base.mode == mode else base.convert(mode), kind, **options)
    path = put(data, "picture.of_any_name")
    digest = hashlib.sha256(data).hexdigest()
    assert inspect(path) == ImageRef(path=str(path), sha256=digest, width=70, height=50)
    assert pixels(path).size == (70, 50)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation_is_applied(put, kind, value):
    image = Image.new("RGB", (64, 32))
    image.paste("red", (0, 0, 32, 32))
    image.paste("blue", (32, 0, 64, 32))
    path = put(saved(image, kind, **oriented(value)))
    found = inspect(path)
    assert isinstance(found, ImageRef)
    upright = pixels(path)
    assert (found.width, found.height) == upright.size == ((64, 32) if value < 5 else (32, 64))
    # Where the red half went, by the definition of the tag.
    corner = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}[
        value
    ]
    width, height = upright.size
    spot = {
        "left": (8, height // 2),
        "right": (width - 8, height // 2),
        "top": (width // 2, 8),
        "bottom": (width // 2, height - 8),
    }[corner]
    red, _, blue = upright.getpixel(spot)
    assert red > 200
    assert blue < 60


def test_damaged_exif_does_not_spoil_an_image(put):
    path = put(saved(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage"))
    assert isinstance(inspect(path), ImageRef)
    assert pixels(path).size == (64, 48)


# (what it is, its bytes, kind of the problem, a part of the message)
BAD = [
    ("empty", b"", "image_unreadable", "is empty"),
    ("text", b"I am no picture", "image_unreadable", "is not an image"),
    ("an HTML page", b"<!DOCTYPE html><html>404</html>", "image_unreadable", "is not an image"),
    ("a format that is not read", b"%PDF-1.7", "image_unreadable", "is not an image"),
    ("half a JPEG", saved(noise(), "JPEG")[:1500], "image_unreadable", "is cut short"),
    ("a JPEG's first bytes", saved(noise(), "JPEG")[:20], "image_unreadable", "x.jpg"),
    (
        "a progressive JPEG cut",
        saved(noise(), "JPEG", progressive=True)[:-200],
        "image_unreadable",
        "is cut short",
    ),
    ("half a PNG", saved(noise(), "PNG")[:2000], "image_unreadable", "x.jpg"),
    ("a PNG's signature", b"\x89PNG\r\n\x1a\n", "image_unreadable", "x.jpg"),
    ("half a GIF", saved(noise().convert("P"), "GIF")[:1500], "image_unreadable", "x.jpg"),
    ("half a WebP", saved(noise(), "WEBP")[:500], "image_unreadable", "x.jpg"),
    ("half a BMP", saved(noise(), "BMP")[:1000], "image_unreadable", "x.jpg"),
    ("half a TIFF", saved(noise(), "TIFF")[:1000], "image_unreadable", "x.jpg"),
    ("a bomb", png_of_size(60_000, 60_000), "image_too_large", "60000 x 60000 pixels, more than 178956970"),
    ("a bomb beyond 32 bits", png_of_size(2**31 - 1, 2**31 - 1), "image_too_large", "pixels, more than"),
    ("no width", png_of_size(0, 10), "image_unreadable", "x.jpg"),
    ("a header without pixels", png_of_size(10, 10), "image_unreadable", "x.jpg"),
]


@pytest.mark.parametrize(
    ("data", "kind", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_bad_bytes_are_a_problem_that_names_image_and_line(put, data, kind, message):
    path = put(data)
    problem = inspect(path)
    assert isinstance(problem, Problem)
    assert problem.kind == kind
    assert message in problem.message
    assert str(path) in problem.message
    assert problem.where == "captions.jsonl:7"


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path / "nowhere.jpg", tmp_path, tmp_path / "a\0b.jpg", tmp_path / "x.jpg" / "y.jpg"):
        problem = inspect(path)
        assert isinstance(problem, Problem)
        assert problem.kind == "image_missing"
    for path in (tmp_path / "b\udcff.jpg", tmp_path / ("x" * 5000)):
        problem = inspect(path)
        assert isinstance(problem, Problem)
        assert problem.kind in ("image_unreadable", "image_missing")
        str(problem).encode()


def test_the_limit_of_pixels_is_ours_and_not_pillows(put, monkeypatch):
    path = put(saved(noise(), "PNG"))
    assert isinstance(inspect(path, 64 * 48), ImageRef)
    problem = inspect(path, 64 * 48 - 1)
    assert isinstance(problem, Problem)
    assert problem.kind == "image_too_large"
    assert "max_image_pixels" in problem.remedy
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert isinstance(inspect(path), ImageRef)


SEEDS = [
    saved(noise(16, 12).convert("P" if kind == "GIF" else "RGB"), kind)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=8),
    st.integers(0, 1500),
)
def test_no_bytes_make_inspection_raise(put, data, changes, end):
    mutable = bytearray(data)
    for place, value in changes:
        mutable[place % len(mutable)] = value
    assert isinstance(inspect(put(bytes(mutable[: end or None]))), ImageRef | Problem)


# ---- sizes -----------------------------------------------------------------------------------------

SIDES = st.integers(1, 200_000)


@given(SIDES, SIDES, st.integers(28, 4096), st.sampled_from(["area", "longer_side"]))
@example(1_000_000, 1, 512, "area")
@example(1, 1_000_000, 512, "area")
@example(10**9, 1, 28, "area")
def test_sizes_shrink_keep_shape_and_hold_the_rule(width, height, limit, rule):
    w, h = resized_size(width, height, PixelPolicy(rule=rule, limit=limit))
    assert 1 <= w <= width
    assert 1 <= h <= height
    fits = width * height <= limit**2 if rule == "area" else max(width, height) <= limit
    if fits:
        assert (w, h) == (width, height)
    elif rule == "area":
        assert w * h <= limit**2
        if min(w, h) > 1:
            assert (w + 1) * (h + 1) > limit**2
            assert w / (h + 1) <= width / height <= (w + 1) / h
    else:
        assert max(w, h) == limit
        if min(w, h) > 1:
            assert w / (h + 1) <= width / height <= (w + 1) / h


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        ((512, 512), "area", (512, 512)),
        ((1024, 1024), "area", (512, 512)),
        ((2048, 1536), "area", (591, 443)),
        ((2048, 1536), "longer_side", (512, 384)),
        ((700, 300), "area", (700, 300)),
        ((700, 300), "longer_side", (512, 219)),
        ((1_000_000, 1), "area", (262_144, 1)),
    ],
)
def test_known_sizes(size, rule, expected):
    assert resized_size(*size, PixelPolicy(rule=rule)) == expected


# ---- encoding --------------------------------------------------------------------------------------


def test_images_are_made_smaller_and_never_larger(put):
    path = put(saved(noise(600, 400), "JPEG"))
    assert pixels(path, PixelPolicy(limit=64, format="png")).size == resized_size(
        600, 400, PixelPolicy(limit=64)
    )
    assert pixels(path).size == (600, 400)
    assert max(pixels(path, PixelPolicy(rule="longer_side", limit=64)).size) == 64


def test_jpeg_has_full_chroma_and_no_metadata_and_bytes_repeat(put):
    path = put(saved(noise(), "JPEG", comment=b"who took it", **oriented(6)))
    first = encode_image(path, PixelPolicy())
    assert first == encode_image(path, PixelPolicy())
    image = Image.open(io.BytesIO(first))
    assert image.format == "JPEG"
    assert all(layer[1:3] == (1, 1) for layer in image.layer)
    assert not image.getexif()
    assert b"who took it" not in first
    assert len(encode_image(path, PixelPolicy(quality=50))) < len(first)


def test_png_carries_no_profile_along(put):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    encoded = encode_image(put(saved(noise(), "JPEG", icc_profile=profile)), PNG)
    assert b"iCCP" not in encoded


def test_transparency_is_laid_on_white(put):
    rgba = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    rgba.paste((255, 0, 0, 255), (0, 0, 20, 40))
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(1, (0, 0, 20, 40))
    files = [
        saved(rgba, "PNG"),
        saved(rgba, "WEBP", lossless=True),
        saved(palette, "PNG", transparency=0),
        saved(palette, "GIF", transparency=0),
        saved(rgba.convert("RGB"), "PNG", transparency=(0, 0, 0)),
    ]
    for data in files:
        image = pixels(put(data))
        assert image.getpixel((5, 5)) == (255, 0, 0)
        assert image.getpixel((35, 5)) == (255, 255, 255)
    half = pixels(put(saved(Image.new("LA", (8, 8), (0, 128)), "PNG")))
    assert half.getpixel((4, 4)) == (127, 127, 127)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(put):
    row = struct.pack("<30H", *[0] * 10, *[32768] * 10, *[65535] * 10)
    image = Image.frombytes("I;16", (30, 10), row * 10)
    for data in (saved(image, "PNG"), saved(image, "TIFF"), saved(image, "PNG", transparency=65535)):
        grey = pixels(put(data))
        assert [grey.getpixel((x, 5))[0] for x in (5, 15, 25)] == [0, 128, 255]


def test_floating_point_grey_is_stretched_to_its_own_range(put):
    image = Image.new("F", (20, 10), -0.5)
    image.paste(1.5, (10, 0, 20, 10))
    grey = pixels(put(saved(image, "TIFF")))
    assert [grey.getpixel((x, 5))[0] for x in (5, 15)] == [0, 255]
    assert pixels(put(saved(Image.new("F", (4, 4), float("nan")), "TIFF"))).size == (4, 4)


def test_the_first_frame_of_an_animation_is_taken(put):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP"):
        path = put(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert isinstance(inspect(path), ImageRef)
        red, green, blue = pixels(path).getpixel((10, 10))
        assert red > 200
        assert max(green, blue) < 60


def test_cmyk_keeps_its_colours(put):
    cmyk = Image.new("RGB", (32, 32), (250, 10, 10)).convert("CMYK")
    red, green, blue = pixels(put(saved(cmyk, "JPEG", quality=95))).getpixel((16, 16))
    assert red > 220
    assert max(green, blue) < 50


def test_encoding_what_is_no_image_is_a_data_error(put, tmp_path):
    for path in (put(b"text"), put(saved(noise(), "JPEG")[:900], "cut.jpg"), tmp_path / "nowhere.jpg"):
        with pytest.raises(DataError, match=path.name):
            encode_image(path, PixelPolicy())


# ---- the cache -------------------------------------------------------------------------------------


@pytest.fixture
def ref(put):
    def make(number: int, name: str | None = None) -> ImageRef:
        found = inspect(
            put(saved(Image.new("RGB", (40, 30), (number, 0, 0)), "PNG"), name or f"{number}.png")
        )
        assert isinstance(found, ImageRef)
        return found

    return make


@pytest.fixture
def encoded(monkeypatch):
    """Counts what is really encoded."""
    calls: list[Path] = []
    real = images._encode

    def counting(data, path, policy):
        calls.append(path)
        return real(data, path, policy)

    monkeypatch.setattr(images, "_encode", counting)
    return calls


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_data_url_holds_the_encoded_image(ref, kind):
    policy = PixelPolicy(format=kind)
    image = ref(1)
    url = asyncio.run(ImageCache(policy).data_url(image))
    head, _, body = url.partition(",")
    assert head == f"data:image/{kind};base64"
    assert base64.b64decode(body, validate=True) == encode_image(Path(image.path), policy)


def test_concurrent_requests_encode_once_and_in_threads(ref, encoded, monkeypatch):
    image, twin = ref(1), ref(1, "twin.png")
    threads = set()
    monkeypatch.setattr(
        images, "_read_again", lambda path: (threads.add(threading.get_ident()), path.read_bytes())[1]
    )

    async def run():
        cache = ImageCache(PixelPolicy())
        urls = await asyncio.gather(*(cache.data_url(each) for each in [image, twin] * 20))
        return {*urls, await cache.data_url(image)}

    assert len(asyncio.run(run())) == 1
    assert len(encoded) == 1
    assert threading.get_ident() not in threads


def test_the_image_unused_for_longest_goes_first(ref, encoded):
    first, second, third = ref(1), ref(2), ref(3)

    async def run():
        size = len(await ImageCache(PixelPolicy()).data_url(first))
        encoded.clear()
        cache = ImageCache(PixelPolicy(), max_bytes=int(size * 2.5))
        for image in (first, second, first, third, first, second):
            await cache.data_url(image)

    asyncio.run(run())
    assert [path.name for path in encoded] == ["1.png", "2.png", "3.png", "2.png"]


def test_an_image_larger_than_the_cache_still_comes(ref, encoded):
    async def run():
        cache = ImageCache(PixelPolicy(), max_bytes=10)
        return [await cache.data_url(ref(1)) for _ in range(2)]

    assert len(set(asyncio.run(run()))) == 1
    assert len(encoded) == 2


def test_a_waiter_that_is_cancelled_leaves_the_image_to_the_others(ref, encoded):
    async def run():
        cache = ImageCache(PixelPolicy())
        image = ref(1)
        one, other = asyncio.create_task(cache.data_url(image)), asyncio.create_task(cache.data_url(image))
        await asyncio.sleep(0)
        one.cancel()
        url = await other
        assert one.cancelled()
        return url

    assert asyncio.run(run()).startswith("data:")
    assert len(encoded) == 1


def test_a_file_that_changed_or_went_is_named_and_may_come_back(ref, put):
    image = ref(1)
    good = Path(image.path).read_bytes()

    async def run():
        cache = ImageCache(PixelPolicy())
        put(saved(noise(), "PNG"), "1.png")
        with pytest.raises(DataError, match=r"1\.png has changed"):
            await cache.data_url(image)
        Path(image.path).unlink()
        with pytest.raises(DataError, match=r"1\.png is not there"):
            await cache.data_url(image)
        put(good, "1.png")
        return await cache.data_url(image)

    assert asyncio.run(run()).startswith("data:")
