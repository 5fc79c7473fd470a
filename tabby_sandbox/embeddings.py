"""POST /v1/embeddings: from a container of its own, which loads and unloads of other models do not touch."""

from __future__ import annotations

import base64
import struct
import zlib

from aiohttp import web

from .auth import permission as permission_of
from .auth import require_api
from .sandbox import CALL
from .wire import Refusal, invalid, json_response

NO_EMBEDDINGS = "No embedding models are currently loaded."
SIZE = 8


async def embeddings(request: web.Request) -> web.Response:
    """Answer with numbers, the same for the same text."""
    call = request[CALL]
    call.require_json()
    auth = call.sandbox.config.auth
    require_api(auth, request.headers)
    call.record.permission = permission_of(auth, request.headers)
    body = call.body()
    name = call.sandbox.config.server.embedding_model
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise invalid("string_type", ["input", "str"], "Input should be a valid string", given)
    if name is None:
        raise Refusal(503, NO_EMBEDDINGS)
    packed = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "embedding": _packed(_vector(text)) if packed else _vector(text),
            "index": number,
        }
        for number, text in enumerate(texts)
    ]
    tokens = sum(len(text) // 4 + 1 for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
    call.record.usage = {"prompt": tokens, "completion": 0}
    return json_response({"object": "list", "data": data, "model": name, "usage": usage})


def _vector(text: str) -> list[float]:
    return [zlib.crc32(f"{number}{text}".encode()) / 2**32 for number in range(SIZE)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
