"""Writes the pictures beside it and what Pillow makes of them: python3 make.py (Pillow 13.0.0, numpy).

NAME.jpg, .png, .webp or .bmp is read by us; NAME.expected.png is Image.open(NAME).convert() of Pillow, NAME.reduced-N.png the same
after Image.draft has set a scale of 1/N. photo.OPERATION.png is
photo.png after Image.resize, or after the centre and random crop of guided-diffusion's image_datasets.py.
"""
import math
import os

import numpy as np
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))


def photo(width, height):
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / 7) + 30 * np.cos(y / 5), 127 + 100 * np.cos((x + y) / 9), x * y % 97 * 255 / 97]
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))


def expect(name, mode):
    Image.open(name).convert(mode).save(name.rsplit(".", 1)[0] + ".expected.png", optimize=True)


def jpeg(name, picture, mode, **settings):
    picture.save(name, "JPEG", quality=80, **settings)
    expect(name, mode)


def reduced(name, mode):
    for scale in [2, 4, 8]:
        picture = Image.open(name)
        size = tuple(-(-x // scale) for x in picture.size)
        picture.draft(None, tuple(x // scale for x in picture.size))
        assert picture.size == size
        picture.convert(mode).save(f"{name.rsplit('.', 1)[0]}.reduced-{scale}.png", optimize=True)


def centre_crop(picture, size):
    while min(*picture.size) >= 2 * size:
        picture = picture.resize(tuple(x // 2 for x in picture.size), resample=Image.BOX)
    scale = size / min(*picture.size)
    picture = picture.resize(tuple(round(x * scale) for x in picture.size), resample=Image.BICUBIC)
    array = np.array(picture)
    top, left = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return Image.fromarray(array[top : top + size, left : left + size])


def random_crop(picture, size, smaller, top_share, left_share):
    """random_crop_arr with its draws given: the shorter side before cropping, and where between 0 and 1 the crop lies."""
    assert size <= smaller <= math.ceil(size / 0.8)
    while min(*picture.size) >= 2 * smaller:
        picture = picture.resize(tuple(x // 2 for x in picture.size), resample=Image.BOX)
    scale = smaller / min(*picture.size)
    picture = picture.resize(tuple(round(x * scale) for x in picture.size), resample=Image.BICUBIC)
    array = np.array(picture)
    top = int((array.shape[0] - size + 1) * top_share)
    left = int((array.shape[1] - size + 1) * left_share)
    return Image.fromarray(array[top : top + size, left : left + size])


small = photo(37, 29)
jpeg("rgb.jpg", small, "RGB")
jpeg("gray.jpg", small.convert("L"), "L")
jpeg("progressive.jpg", small, "RGB", progressive=True)
jpeg("cmyk.jpg", photo(20, 16).convert("CMYK"), "RGB")
for name, mode in [("rgb.jpg", "RGB"), ("gray.jpg", "L"), ("progressive.jpg", "RGB"), ("cmyk.jpg", "RGB")]:
    reduced(name, mode)
y, x = np.mgrid[0:64, 0:96]
smooth = [127 + 90 * np.sin(x / 17) + 30 * np.cos(y / 13), 127 + 100 * np.cos((x + y) / 19), 40 + 150 * ((x - 50) ** 2 + (y - 40) ** 2 < 900)]
smooth = Image.fromarray(np.clip(np.stack(smooth, -1), 0, 255).astype(np.uint8))
# Colours at full size: a decoder makes larger ones of less as it sees fit.
smooth.save("smooth.jpg", quality=90, subsampling=0)
exif = Image.Exif()
exif[0x0112] = 6
jpeg("rotated.jpg", small, "RGB", exif=exif)

small.quantize(16).save("palette.png", optimize=True)
expect("palette.png", "RGB")
small.convert("L").point(lambda v: 255 * (v > 127)).convert("1").save("bilevel.png", optimize=True)
expect("bilevel.png", "L")
# The high byte of 16 is what 8 bits are made of; a low byte of the same value makes rounding and cutting the same.
high = np.asarray(small.convert("L")).astype(np.uint16)
Image.fromarray(high * 257).save("gray16.png")
small.convert("L").save("gray16.expected.png", optimize=True)
alpha = small.copy()
mask = Image.fromarray(((np.arange(37 * 29).reshape(29, 37) % 5 > 1) * 255).astype(np.uint8))
alpha.putalpha(mask)
alpha.save("alpha.png", optimize=True)
white = Image.new("RGB", small.size, "white")
white.paste(small, mask=mask)
white.save("alpha.expected.png", optimize=True)
# Every opacity over every value of gray, and soft edges of colours; paste() rounds to the nearest.
y, x = np.mgrid[0:256, 0:256].astype(np.uint8)
blend = Image.merge("LA", [Image.fromarray(x), Image.fromarray(y)])
blend.save("blend.png", optimize=True)
white = Image.new("L", blend.size, "white")
white.paste(Image.fromarray(x), mask=Image.fromarray(y))
white.save("blend.expected.png", optimize=True)
soft = small.copy()
mask = Image.fromarray((np.mgrid[0:29, 0:37].sum(0) * 4 % 256).astype(np.uint8))
soft.putalpha(mask)
white = Image.new("RGB", small.size, "white")
white.paste(small, mask=mask)
for name, settings in [("soft.png", {"optimize": True}), ("softlossless.webp", {"lossless": True, "exact": True})]:
    soft.save(name, **settings)
    white.save(name.split(".")[0] + ".expected.png", optimize=True)

small.save("lossless.webp", lossless=True)
expect("lossless.webp", "RGB")
small.save("lossy.webp", quality=80)
expect("lossy.webp", "RGB")
frames = [small, small.rotate(180)]
frames[0].save("animated.webp", save_all=True, append_images=frames[1:], quality=20)

small.save("rgb24.bmp")
small.quantize(16).save("palette8.bmp")
small.convert("L").save("gray8.bmp")
small.convert("L").point(lambda v: 255 * (v > 127)).convert("1").save("bilevel1.bmp")
small.convert("RGBA").save("rgb32.bmp")
for name, mode in [("rgb24", "RGB"), ("palette8", "RGB"), ("gray8", "L"), ("bilevel1", "L"), ("rgb32", "RGB")]:
    expect(name + ".bmp", mode)

small.convert("L").save("togray.expected.png", optimize=True)
small.save("togray.png", optimize=True)

large = photo(83, 61)
large.save("photo.png", optimize=True)
for name, size, kernel in [
    ("box.41x30", (41, 30), Image.BOX), ("bicubic.32x24", (32, 24), Image.BICUBIC), ("bicubic.83x20", (83, 20), Image.BICUBIC),
    ("bicubic.100x90", (100, 90), Image.BICUBIC), ("bicubic.5x70", (5, 70), Image.BICUBIC),
]:
    large.resize(size, kernel).save(f"photo.{name}.png", optimize=True)
for size in [8, 16, 28, 48, 61, 70]:
    centre_crop(large, size).save(f"photo.centre.{size}.png", optimize=True)
random_crop(large, 16, 20, 0.5, 0.25).save("photo.random.16.png", optimize=True)
