"""A file, plain or gzipped, local or behind any fsspec URL -> its lines as bytes, in bounded memory."""

import zlib
from collections.abc import Iterator

from storage.backend import open_file
from tasks.ingest.rows import DamagedFile

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 64 << 20
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: str, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield each line's number (from 1) and its bytes, without the line end.

    A UTF-8 byte order mark and the CR of a CRLF are taken off. A line without any character holds no row and is
    left out.

    Args:
        path: local path or fsspec URL; gzip is told by its first bytes or by the name's end `.gz`.
        max_line_bytes: a longer line is an error, so that a file without line ends, such as one large JSON array,
            does not fill the memory.

    Raises:
        DamagedFile: the compressed stream ends or breaks, after the lines before it; a line is too long.
        FileNotFoundError: there is no such file.
    """
    number, rest = 0, b""
    try:
        for block in _blocks(path):
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number += 1
                if (line := _trimmed(line, number)) != b"":
                    yield number, line
            if len(rest) > max_line_bytes:
                expected, got = f"lines of at most {max_line_bytes} bytes", "a longer one"
                raise DamagedFile(path, number + 1, expected, got, "Write one row per line")
    except zlib.error as error:
        raise DamagedFile(path, number + 1, "a sound gzip file", str(error)) from error
    except EOFError as error:
        raise DamagedFile(path, number + 1, "a complete gzip file", str(error)) from error
    if last := _trimmed(rest, number + 1):
        yield number + 1, last


def is_cut_off(path: str) -> bool:
    """Say whether the last line has no end: if it cannot be read either, the rest of it is missing, and maybe more."""
    end = b"\n"
    for block in _blocks(path):
        end = block[-1:] or end
    return end != b"\n"


def _trimmed(line: bytes, number: int) -> bytes:
    if number == 1:
        line = line.removeprefix(BYTE_ORDER_MARK)
    return line.removesuffix(b"\r")


def _blocks(path: str) -> Iterator[bytes]:
    with open_file(path) as file:
        first = file.read(BLOCK_BYTES)
        blocks = _chain(first, iter(lambda: file.read(BLOCK_BYTES), b""))
        if first.startswith(GZIP_MAGIC) or path.endswith(".gz"):
            yield from _inflated(blocks)
        else:
            yield from blocks


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _inflated(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress member after member; zlib itself, since GzipFile loses the rows before a damage."""
    member = zlib.decompressobj(wbits=31)
    for block in blocks:
        data = block
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # padding after a member is allowed
                member = zlib.decompressobj(wbits=31) if data else member
                continue
            plain = member.decompress(data, BLOCK_BYTES)
            if plain:
                yield plain
            data = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise EOFError("the end of the file in the middle of the stream")
