"""Files that went wrong: bytes changed at random, by a seed."""

import random
import re
from pathlib import Path

_NASTY = [
    *[b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", "\u2028\u202e".encode(), b"\x1b[2J", b"\r", b"\n"],
    *[
        b"\t",
        b'"',
        b"\\",
        b"\\ud800",
        b"{",
        b"[" * 2000,
        b"}",
        b"null",
        b"NaN",
        b"-1",
        b"1e999",
        b"9" * 400,
        b"../" * 3,
    ],
    *[b"\xff\xff\xff\x7f", b"\xff" * 8, b"\x80" * 9, b"&a [*a]", b"${HOME}", b"!!python/object:os.system"],
]


def mutated(content: bytes, others: list[bytes], seed: int) -> bytes:
    """Change some bytes: flips, cuts, repeats, pieces of other files, and what readers stumble over."""
    draw = random.Random(seed)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        start = draw.randrange(len(content) + 1)
        end = min(len(content), start + draw.choice([1, 2, 8, 64, 4096]))
        kind = draw.randrange(7)
        if kind == 0:
            content = content[:start]
        elif kind == 1:
            content = content[:start] + content[end:]
        elif kind == 2:
            content = content[:end] + content[start:]
        elif kind == 3:
            other = draw.choice(others)
            first = draw.randrange(len(other) + 1)
            content = content[:start] + other[first : first + draw.choice([8, 256, 8192])] + content[end:]
        elif kind == 4:
            content = content[:start] + draw.choice(_NASTY) + content[draw.choice([start, end]) :]
        elif content:
            flipped = bytearray(content)
            flipped[start % len(content)] ^= 1 << draw.randrange(8)
            content = bytes(flipped)
    return content


def one_line(text: str, *, form: bool = True) -> str | None:
    """Say what is wrong with an error's text: controls in it or, with `form`, not `<where>: expected …, got …`."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        return f"more than a line, or controls: {text!r}"
    return (
        None
        if not form or re.search(r": (expected .+, (got|found)|there is no such setting)", text)
        else f"another form: {text!r}"
    )


def files_below(folder: Path) -> list[Path]:
    """List all files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
