"""One RGB picture -> a file."""

from fractions import Fraction
from pathlib import Path
from xml.sax.saxutils import escape
from zlib import crc32

import av
import numpy as np
from av.video.frame import VideoFrame

from core.atomic import atomic
from core.errors import BadValue

PICTURES = (".png",)
HEAD = 8 + 25  # bytes of a PNG's signature and of IHDR, its first chunk
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>{}</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def write_picture(
    path: Path, picture: np.ndarray, *, comment: str | None = None, source_type: str | None = None
) -> None:
    """picture HWC u8 RGB -> a PNG, which keeps every bit.  BadInput: another ending, a place that cannot be written.

    comment: ASCII, what the file says of itself (tEXt); source_type: IPTC's term for how it came about (in XMP, iTXt).
    """
    if path.suffix.lower() not in PICTURES:
        raise BadValue(f"{path}: a still is written as {', '.join(PICTURES)}; choose this ending")
    with atomic(path) as temporary:
        encoder = av.CodecContext.create("png", "w")
        encoder.height, encoder.width = picture.shape[:2]
        encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        packets = [*encoder.encode(frame), *encoder.encode(None)]
        temporary.write_bytes(_with_texts(b"".join(bytes(packet) for packet in packets), comment, source_type))


def _with_texts(png: bytes, comment: str | None, source_type: str | None) -> bytes:
    """The same picture with text behind its first chunk (PNG, 3rd edition, 11.3.3; XMP part 3, 1.1.5)."""
    texts = b"" if comment is None else _chunk(b"tEXt", b"Comment\0" + comment.encode("ascii"))
    if source_type is not None:
        xmp = XMP.format(escape(source_type)).encode()
        texts += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    return png[:HEAD] + texts + png[HEAD:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + crc32(kind + data).to_bytes(4, "big")
