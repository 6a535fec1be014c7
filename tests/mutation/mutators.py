"""Ways to damage an input, at random: of bytes, of text, and of the structure of the formats that the parsers read.

A mutator takes (random.Random, bytes) and returns bytes. All of them keep an input below `MAX_BYTES`, since what is
tried is what a small file can do.
"""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib

from tfodhelper import limits
from tfodhelper.records import framing

MAX_BYTES = 300_000

NUMBERS = (
    *("0", "-1", "-0", "1", "2", "255", "65536", "2147483647", "2147483648", "-2147483649", "4294967296"),
    *("9223372036854775807", "18446744073709551616", "1000000000000", "1e308", "-1e308", "1e400", "1e-320", "nan"),
    *("NaN", "inf", "-Infinity", "0.5", "-3.7", "1e5", "0x7f", "1_000", "07", "\u0663", "\u00bd", "", " ", "1,5", "+"),
    *("9" * 400, "9" * 5000, "0." + "3" * 2000, "true", "None", "1e", "--1", "1e30", "1e19"),
)
TEXTS = (
    *("", " ", "\x00", "\x1b[2J", "\u202e", "\ufeff", "\u2028", "\ud800", "\x7f", "\x85", "\ufffe", "a\nb", "\t", "'"),
    *('"', "\\", "/", "..", "../../x", "/etc/passwd", "C:\\x", "=cmd|' /C calc'!A0", "%s%n", "{0}", "$x$", "<b>"),
    *(
        "&lt;",
        "]]>",
        "-->",
        "null",
        "NaN",
        "\u732b",
        "\U0001f408",
        "a\u0301",
        "x" * 600,
        "y" * 100_000,
        "con",
        "a" * 255,
    ),
)


def mutate(rng, data, mutators):
    """Applies one to four mutators, mostly one."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data = rng.choice(mutators)(rng, data)[:MAX_BYTES]
    return data


# Bytes


def flip_bits(rng, data):
    """Flips some bits."""
    result = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8, 50))):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def set_bytes(rng, data):
    """Writes numbers that are often limits over some bytes."""
    result = bytearray(data or b"\0")
    value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 60, (1 << 64) - 1, (1 << 63) - 1))
    packed = value.to_bytes(8, rng.choice(("little", "big")))[: rng.choice((1, 2, 4, 8))]
    position = rng.randrange(len(result))
    result[position : position + len(packed)] = packed
    return bytes(result)


def cut(rng, data):
    """Ends the input early, or removes a part of it."""
    start = rng.randint(0, len(data))
    return data[:start] + (data[start + rng.choice((1, 4, 64, 1000)) :] if rng.random() < 0.6 else b"")


def repeat_part(rng, data):
    """Repeats a part, a few times or very often."""
    start = rng.randint(0, len(data))
    part = data[start : start + rng.choice((1, 4, 30, 300))]
    times = min(rng.choice((1, 2, 10, 1000, 30_000)), MAX_BYTES // max(len(part), 1))
    return data[:start] + part * times + data[start:]


def insert_noise(rng, data):
    """Inserts random bytes."""
    start = rng.randint(0, len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 4, 100, 5000))) + data[start:]


def move_part(rng, data):
    """Moves a part to a different place."""
    start, end = sorted(rng.randint(0, len(data)) for _ in range(2))
    end = min(end, start + 2000)
    rest = data[:start] + data[end:]
    place = rng.randint(0, len(rest))
    return rest[:place] + data[start:end] + rest[place:]


def replace_all(rng, data):
    """Something else altogether."""
    return rng.choice((b"", b"\0" * 100, rng.randbytes(200), b"\xff" * 5000, b"<", b"{", b"[" * 100_000, b"PK\3\4"))


BYTES = (flip_bits, set_bytes, cut, repeat_part, insert_noise, move_part)


# Text


def _encode(text):
    return text.encode("utf-8", "surrogatepass")


def _replace_match(rng, data, pattern, choices):
    text = data.decode("utf-8", "replace")
    matches = list(re.finditer(pattern, text))
    if not matches:
        return data
    match = rng.choice(matches)
    return _encode(text[: match.start()] + rng.choice(choices) + text[match.end() :])


def change_number(rng, data):
    """Writes an unusual number over a number."""
    return _replace_match(rng, data, r"-?[0-9]+(\.[0-9]+)?", NUMBERS)


def change_text(rng, data):
    """Writes an unusual text over a word."""
    return _replace_match(rng, data, r"[A-Za-z_][\w.]*", TEXTS)


def change_lines(rng, data):
    """Removes, repeats or exchanges lines."""
    lines = data.splitlines(keepends=True) or [b""]
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[first]
    elif kind == 1:
        lines[first : first + 1] = [lines[first]] * min(
            rng.choice((2, 3, 1000, 20_000)), MAX_BYTES // len(lines[first] or b"1")
        )
    elif kind == 2:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines.insert(first, lines[second])
    return b"".join(lines)


def change_encoding(rng, data):
    """Writes the text in a different encoding, with other ends of lines or with a byte order mark."""
    text = data.decode("utf-8", "replace")
    kind = rng.randrange(5)
    if kind == 0:
        return text.replace("\n", rng.choice(("\r\n", "\r", "\x0b", "\u2028", "", "\n\n"))).encode()
    if kind == 1:
        return b"\xef\xbb\xbf" * rng.choice((1, 2)) + data
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-16-be", "cp1252", "gb18030")), "replace")


def nest(rng, data):
    """Puts many brackets around or into the text."""
    opening, closing = rng.choice(
        (("[", "]"), ("{", "}"), ('{"a":', "}"), ("(", ")"), ("<a>", "</a>"), ("- ", ""), ("a {", "}"))
    )
    depth = rng.choice((1, 30, 2000, 50_000))
    start = rng.randint(0, len(data))
    return data[:start] + (opening * depth).encode() + (closing * depth).encode() + data[start:]


TEXT = (change_number, change_number, change_text, change_text, change_lines, change_encoding, nest)


# Structures


def change_json(rng, data):
    """Changes one value somewhere in a JSON document, or in a line of JSON lines."""
    lines = data.split(b"\n")
    position = rng.randrange(len(lines))
    try:
        whole = limits.parse_json(data)
    except ValueError:
        whole = None
    try:
        value = limits.parse_json(lines[position]) if whole is None else whole
    except ValueError:
        return change_number(rng, data)
    text = _encode(json.dumps(_change_value(rng, value), ensure_ascii=rng.random() < 0.5))
    if whole is not None:
        return text
    lines[position] = text
    return b"\n".join(lines)


def _change_value(rng, value, depth=0):
    if isinstance(value, dict) and value and rng.random() < (0.9 if depth < 4 else 0.5):
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.12:
            return {name: value[name] for name in value if name != key}
        if kind < 0.18:
            return value | {rng.choice(TEXTS): value[key]}
        return value | {key: _change_value(rng, value[key], depth + 1)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        position = rng.randrange(len(value))
        if rng.random() < 0.15:
            return value + [value[position]] * rng.choice((1, 2, 3000))
        return [_change_value(rng, item, depth + 1) if i == position else item for i, item in enumerate(value)]
    return _odd_value(rng)


def _odd_value(rng):
    number = rng.choice(
        (0, -1, 1, 2**31, 2**63, 10**12, 10**400, 1e308, -1e308, float("nan"), float("inf"), 0.5, 1e-320)
    )
    deep = []
    for _ in range(rng.choice((1, 5, 300))):
        deep = rng.choice(([deep], {"a": deep}))
    return rng.choice(
        (number, number, rng.choice(TEXTS), None, True, False, [], {}, deep, [[]], {"": 1}, [1] * 1000, [None])
    )


def change_xml(rng, data):
    """Removes, repeats, renames or moves elements, and adds what XML allows besides them."""
    text = data.decode("utf-8", "replace")
    elements = list(re.finditer(r"<(\w+)>[^<]*</\1>|<object>.*?</object>", text, re.DOTALL))
    if not elements:
        return change_text(rng, data)
    element = rng.choice(elements)
    body, kind = element[0], rng.randrange(9)
    if kind == 0:
        new = ""
    elif kind == 1:
        new = body * min(rng.choice((2, 3, 500, 5000)), MAX_BYTES // len(body))
    elif kind == 2:
        new = re.sub(
            r"\w+", rng.choice(("Object", "name", "bndbox", "xmin", "size", "part", "a:b", "x" * 3000)), body, count=1
        )
    elif kind == 3:
        new = rng.choice(elements)[0]
    elif kind == 4:
        new = re.sub(r">[^<]*<", lambda _: f">{rng.choice(NUMBERS + TEXTS)}<", body, count=1)
    elif kind == 5:
        new = rng.choice(("<!-- c -->", "<?x y?>", "<![CDATA[5]]>", "&lol;", "&#x0;", "&amp;", "&#27;")) + body
    elif kind == 6:
        new = f"<a{rng.choice((' ', ' b=', ' b=' + chr(34) + 'c' + chr(34)))}>{body}</a>"
    elif kind == 7:
        new = ("<a>" * rng.choice((5, 300, 20_000))) + body
    else:
        entity = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY lol "&b;&b;&b;&b;">]>'
        return _encode(rng.choice((entity, '<?xml version="1.1"?>', '<?xml version="1.0" encoding="utf-7"?>')) + text)
    return _encode(text[: element.start()] + new + text[element.end() :])


def change_csv(rng, data):
    """Changes a cell or a column."""
    rows = [line.split(",") for line in data.decode("utf-8", "replace").splitlines()] or [[""]]
    row = rng.choice(rows)
    kind = rng.randrange(5)
    if kind == 0:
        row[rng.randrange(len(row))] = rng.choice(NUMBERS + TEXTS)
    elif kind == 1:
        row.extend(rng.choice(TEXTS) for _ in range(rng.choice((1, 5, 3000))))
    elif kind == 2:
        row[:] = row[: rng.randint(0, len(row))]
    elif kind == 3:
        rows[0].append(rng.choice(rows[0]))
    else:
        row[0] = '"' + row[0]
    return _encode("\n".join(rng.choice((",", ",", ";", "\t")).join(row) for row in rows))


def with_frames(mutators):
    """Mutates the content of records, or their frames; the checksums are right unless the frames are mutated."""

    def change(rng, data):
        if rng.random() < 0.3:
            return mutate(rng, data, BYTES)
        records, position = [], 0
        while position + framing.HEADER.size <= len(data) and len(records) < 50:
            length = framing.HEADER.unpack_from(data, position)[0]
            start = position + framing.HEADER.size
            records.append(data[start : start + length])
            position = start + length + framing.FOOTER.size
        records = records or [b""]
        number = rng.randrange(len(records))
        records[number] = mutate(rng, records[number], mutators)
        return b"".join(part for record in records for part in framing.frame(record))

    return change


def change_example(rng, data):
    """Replaces the feature of one name by values of a random type and length."""
    keys = [b"image/object/bbox/xmin", b"image/object/class/text", b"image/object/class/label", b"image/encoded"]
    keys += [b"image/width", b"image/filename", b"image/format", b"image/object/bbox/ymax", b"image/object/difficult"]
    count = rng.choice((0, 1, 2, 3, 1000, 20_000))
    kind = rng.randrange(3)
    if kind == 0:
        content = b"".join(_field(1, _encode(rng.choice(TEXTS))[:2000]) for _ in range(min(count, 200)))
    elif kind == 1:
        numbers = [rng.choice((0.0, 0.5, 1.0, -1.0, 1e30, float("nan"), float("inf"))) for _ in range(count)]
        content = _field(1, struct.pack(f"<{count}f", *numbers))
    else:
        content = _field(1, b"".join(_varint(rng.choice((0, 1, 2, 2**31, 2**63, 2**64 - 1))) for _ in range(count)))
    feature = _field(kind + 1, content)
    entry = _field(1, _field(1, rng.choice(keys)) + _field(2, feature))
    head, position = _read_varint(data, 1)
    inner = data[position:]
    inner = inner + entry if rng.random() < 0.5 else entry + inner
    return b"\x0a" + _varint(len(inner)) + inner


def _field(number, content):
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _read_varint(data, position):
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position, value, shift = position + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            break
    return value, position


def change_png(rng, data):
    """Changes the content or the type of a chunk of a PNG file, whose checksum is right again."""
    if data[:4] != b"\x89PNG":
        return mutate(rng, data, BYTES)
    chunks, position = [], 8
    while position + 12 <= len(data) and len(chunks) < 100:
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append([data[position + 4 : position + 8], data[position + 8 : position + 8 + length]])
        position += 12 + length
    chunk = rng.choice(chunks or [[b"IHDR", b""]])
    kind = rng.randrange(4)
    if kind == 0:
        chunk[0] = rng.choice(
            (b"IHDR", b"IDAT", b"tRNS", b"PLTE", b"acTL", b"iCCP", b"zTXt", b"eXIf", b"IEND", b"\0\0\0\0")
        )
    elif kind == 1:
        chunk[1] = mutate(rng, chunk[1], BYTES)
    elif kind == 2:
        chunks.insert(rng.randint(0, len(chunks)), list(chunk))
    else:
        bomb = zlib.compress(bytes(rng.choice((1000, 30_000_000))))
        chunks.insert(1, [rng.choice((b"zTXt", b"iCCP")), b"a\0\0" + bomb])
    body = b"".join(
        len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
        for name, content in chunks
    )
    return data[:8] + body


def in_gzip(mutators):
    """Mutates what is in a gzip file, or the file."""

    def change(rng, data):
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return mutate(rng, data, BYTES)
        if rng.random() < 0.2:
            return mutate(rng, data, BYTES)
        if rng.random() < 0.02:
            content += bytes(rng.choice((1, 90)) << 20)
        return gzip.compress(mutate(rng, content, mutators), 1)

    return change


def change_tar(rng, data):
    """Changes a field of a header of a tar file, whose checksum is right again."""
    result = bytearray(data)
    headers = [n for n in range(0, len(data) - 511, 512) if data[n + 257 : n + 262] == b"ustar"]
    if not headers:
        return mutate(rng, data, BYTES)
    start = rng.choice(headers)
    offset, length = rng.choice(((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)))
    odd = rng.choice((b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0", b"0" * 12, b"-1", b"x" * 155, b"\0" * 12))
    if offset == 156:
        odd = bytes([rng.choice(b"0123456789gxLKSDNVX\0")])
    elif length > 12:
        odd = _encode(rng.choice(TEXTS))
    result[start + offset : start + offset + length] = odd[:length].ljust(length, b"\0")
    result[start + 148 : start + 156] = b" " * 8
    result[start + 148 : start + 156] = b"%06o\0 " % sum(result[start : start + 512])
    return bytes(result)


def change_zip(rng, data):
    """Replaces the files in a ZIP archive that follows other bytes."""
    content = io.BytesIO(data)
    try:
        with zipfile.ZipFile(content, "a") as archive:
            compression = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            size = rng.choice((0, 10, 1000, 1000, 60_000_000)) if rng.random() < 0.3 else 100
            text = rng.choice(TEXTS).encode("utf-8", "surrogatepass")[:1000] + b"\n" * size
            name = rng.choice(("0_labels.txt", "a_label.txt", "../x.txt", "x" * 300 + ".txt"))
            if name not in archive.namelist():
                archive.writestr(zipfile.ZipInfo(name), text, compression)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error):
        return mutate(rng, data, BYTES)
    return content.getvalue()
