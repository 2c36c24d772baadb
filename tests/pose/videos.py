"""Small videos, written by PyAV, and stand-ins for pose estimators."""

import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

#: Of the square that is shown; MPEG-4 keeps it to a few levels.
SIDE = 16


def squares(frames, width=96, height=64, step=3):
    """Frames ``[height, width, 3]`` of a red square that moves to the right on gray, and its center in each."""
    made, centers = [], []
    for number in range(frames):
        image = np.full((height, width, 3), 40, np.uint8)
        left, top = 4 + step * number, 20
        image[top : top + SIDE, left : left + SIDE] = (230, 20, 20)
        made.append(image)
        centers.append((left + (SIDE - 1) / 2, top + (SIDE - 1) / 2))
    return made, centers


def write_video(path: Path, frames, *, fps=25, codec="mpeg4", times=None, turn=0) -> Path:
    """A video of frames; ``times`` in 1/1000 s make its rate a variable one, ``turn`` is clockwise, in degrees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        stream.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    if turn:
        set_upright(path, turn)
    return path


def set_upright(path: Path, turn: int) -> None:
    """Write into an MP4's track header that players turn the picture clockwise (ISO 14496-12, 8.3.2: the matrix)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    matrix = start + (52 if data[start] else 40)
    one = 1 << 16
    cells = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[turn]
    for place, cell in zip((0, 4, 12, 16), cells, strict=True):
        data[matrix + place : matrix + place + 4] = struct.pack(">i", cell)
    path.write_bytes(data)


def program(path: Path, text: str) -> Path:
    """A Python script as a program of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path
