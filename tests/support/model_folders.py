"""Model folders as they lie in TabbyAPI's model folder: whole ones in all their variety, and broken ones. Data are holes."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WIDTHS = {"F16": 2, "BF16": 2, "F32": 4, "F8_E4M3": 1, "I16": 2, "I32": 4, "I8": 1, "U8": 1, "I64": 8}
Tensors = Mapping[str, tuple[str, list[int]]]
LAYERS, WIDE = 4, 64
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDE, "num_hidden_layers": LAYERS,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192, "vocab_size": 128,
}  # fmt: skip
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def plain(layers: range = range(LAYERS), dtype: str = "F16") -> dict[str, tuple[str, list[int]]]:
    """The tensors of these layers, with embedding and head."""
    found: dict[str, tuple[str, list[int]]] = {
        f"model.layers.{each}.{name}.weight": (dtype, shape)
        for each in layers
        for name, shape in (("self_attn.q_proj", [WIDE, WIDE]), ("input_layernorm", [WIDE]))
    }
    ends = ("model.embed_tokens.weight", "lm_head.weight")
    return {**found, **{name: (dtype, [128, WIDE]) for name in ends}}


def exl3(layers: range = range(LAYERS)) -> dict[str, tuple[str, list[int]]]:
    """The same, quantized."""
    found: dict[str, tuple[str, list[int]]] = {"model.embed_tokens.weight": ("F16", [128, WIDE])}
    for each in layers:
        begin = f"model.layers.{each}"
        found |= {
            f"{begin}.self_attn.q_proj.trellis": ("I16", [4, 4, 64]),
            f"{begin}.self_attn.q_proj.suh": ("F16", [WIDE]),
            f"{begin}.self_attn.q_proj.svh": ("F16", [WIDE]),
            f"{begin}.input_layernorm.weight": ("F16", [WIDE]),
        }
    return found


def described(tensors: Tensors) -> tuple[dict[str, Any], int]:
    """The header of these tensors, and the bytes of their data."""
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = WIDTHS[dtype]
        for each in shape:
            size *= each
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return header, at


def weights(path: Path, tensors: Tensors, *, more: int = 0, **header: Any) -> None:
    """Write a safetensors file; `more`: bytes beyond (or, below 0, short of) what its header says."""
    found, size = described(tensors)
    raw(path, {**found, **header}, size + more)


def raw(path: Path, header: Any, size: int) -> None:
    """Write a safetensors file with this header and so many bytes of data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + max(0, size))


def beside(folder: Path, **config: Any) -> None:
    """Write what lies beside the weights."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))


def sharded(
    folder: Path, tensors: Callable[[range], Tensors], shards: int = 2, *, index: bool = True
) -> None:
    """Write the layers in as many files, with their index."""
    places: dict[str, str] = {}
    each = LAYERS // shards
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        inside = tensors(range(number * each, (number + 1) * each))
        inside = {key: value for key, value in inside.items() if key not in places}
        weights(folder / name, inside)
        places |= dict.fromkeys(inside, name)
    if index:
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
        )


def whole(folder: Path, **config: Any) -> None:
    """Write a whole model in one file."""
    folder.mkdir(parents=True)
    beside(folder, **config)
    weights(folder / "model.safetensors", plain())


EXL3 = {"quantization_config": {"quant_method": "exl3", "bits": 4.0, "head_bits": 6}}


def good_folders(root: Path) -> dict[str, str]:
    """Make 20 folders that TabbyAPI loads, each odd in its way; return what is odd by name."""
    made: dict[str, str] = {}

    def make(name: str, what: str, **config: Any) -> Path:
        whole(root / name, **config)
        made[name] = what
        return root / name

    def in_shards(
        name: str, what: str, tensors: Any = plain, *, index: bool = True, shards: int = 2, **config: Any
    ) -> Path:
        folder = make(name, what, **config)
        (folder / "model.safetensors").unlink()
        sharded(folder, tensors, shards, index=index)
        return folder

    make("single", "one file, no index")
    in_shards("sharded", "two shards and an index")
    in_shards("sharded-without-index", "shards without an index", index=False, shards=4)
    folder = in_shards("no-total-size", "an index without metadata")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index["weight_map"]}))
    folder = in_shards("hub-cache", "shards that are links, as in a hub's cache")
    blobs = root / ".hub" / "blobs"
    blobs.mkdir(parents=True)
    for each in folder.glob("*.safetensors"):
        each.rename(blobs / each.name)
        each.symlink_to(os.path.relpath(blobs / each.name, folder))
    in_shards("exl3-sharded", "exl3 in shards", exl3, **EXL3)
    folder = make("exl3-4.0bpw", "exl3 in one file", **EXL3)
    weights(folder / "model.safetensors", exl3(), __metadata__={})
    folder = make("exl3-other-index", "exl3 with the index of the model that it was made of", **EXL3)
    weights(folder / "model.safetensors", exl3())
    stale = dict.fromkeys(plain(), "pytorch-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": stale}))
    weights(make("bf16", "bf16") / "model.safetensors", plain(dtype="BF16"))
    folder = make(
        "fp8", "fp8 with scales", quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]}
    )
    scale = {"model.layers.0.self_attn.q_proj.weight_scale_inv": ("F32", [1, 1])}
    weights(folder / "model.safetensors", {**plain(dtype="F8_E4M3"), **scale})
    weights(make("fp32-Und-GROSS", "fp32, a name in capitals") / "model.safetensors", plain(dtype="F32"))
    folder = make("template-in-jinja", "the template in a file of its own")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (make("no-template", "no template: it loads, and cannot chat") / "tokenizer_config.json").unlink()
    folder = make("own-config", "a tabby_config.yml")
    (folder / "tabby_config.yml").write_text("# ours\nmodel:\n  max_seq_len: 4096\n  cache_mode: Q8\n")
    folder = make("much-else", "files of other formats and folders beside it")
    for name in ("model-Q4.gguf", "pytorch_model.bin", "README.md", ".gitattributes"):
        (folder / name).write_bytes(b"\0" * 9)
    (folder / ".cache").mkdir()
    (folder / os.fsdecode(b"notes-\xff\xfe.txt")).write_text("not UTF-8 in its name")
    make("it's a [strange] näme; $(x) 100%", "odd characters in its name")
    folder = make("gemma-multimodal", "a model that sees, its facts in text_config")
    facts = {key: value for key, value in CONFIG.items() if key != "architectures"}
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": facts,
        "model_type": "gemma3",
    }
    (folder / "config.json").write_text(json.dumps(config))
    tower = {f"vision_tower.encoder.layers.{each}.mlp.weight": ("F16", [8, 8]) for each in range(2)}
    language = {f"language_{name}": facts for name, facts in plain().items()}
    weights(folder / "model.safetensors", {**tower, **language})
    folder = make("consolidated-too", "the same weights twice, once in the maker's own naming")
    weights(folder / "consolidated.safetensors", {"layers.0.attention.wq.weight": ("F16", [8, 8])})
    folder = make(
        "padded-header", "a header with blanks at its end, an empty tensor, buffers of strange types"
    )
    header, size = described({**plain(), "model.empty": ("F16", [0]), "model.buffer": ("I64", [])})
    raw(folder / "model.safetensors", json.dumps(header).encode() + b" " * 77, size)
    place = root / "moved-elsewhere" / "real"
    whole(place)
    (root / "linked").symlink_to(place)
    made["linked"] = "a link to a folder elsewhere below MODELS_DIR"
    return made


def bad_folders(root: Path) -> dict[str, str]:
    """Make 40 folders that TabbyAPI does not load; return a word that must be said of each, by name."""
    made: dict[str, str] = {}

    def make(name: str, word: str, **config: Any) -> Path:
        whole(root / name, **config)
        made[name] = word
        return root / name

    def in_shards(name: str, word: str, shards: int = 2, **how: Any) -> Path:
        folder = make(name, word)
        (folder / "model.safetensors").unlink()
        sharded(folder, plain, shards, **how)
        return folder

    def file(name: str, word: str) -> Path:
        return make(name, word) / "model.safetensors"

    def header(name: str, word: str, **changes: Any) -> None:
        path = file(name, word)
        found, size = described(plain())
        second = list(found)[1]
        found[second] = {**found[second], **changes}
        raw(path, found, size)

    _bad_shards(in_shards, make)
    _bad_files(file, header, make)
    _bad_formats(make)
    _bad_settings(make)
    return made


def _bad_shards(in_shards: Callable[..., Path], make: Callable[..., Path]) -> None:
    (in_shards("shard-missing", "00002-of-00002") / "model-00002-of-00002.safetensors").unlink()
    (
        in_shards("shard-missing-no-index", "00003-of-00004", 4, index=False)
        / "model-00003-of-00004.safetensors"
    ).unlink()
    folder = in_shards("many-missing", "are missing", 4)
    for number in (2, 3, 4):
        (folder / f"model-{number:05d}-of-00004.safetensors").unlink()
    folder = in_shards("shard-cut", "cut off")
    path = folder / "model-00002-of-00002.safetensors"
    os.truncate(path, path.stat().st_size - 100)
    folder = in_shards("dangling", "link to nothing")
    path = folder / "model-00001-of-00002.safetensors"
    path.unlink()
    path.symlink_to("../.hub/blobs/gone")
    folder = in_shards("two-versions", "not the same")
    weights(folder / "model.safetensors", plain(dtype="BF16"))
    folder = in_shards("wrong-shard", "as the index says")
    weights(folder / "model-00002-of-00002.safetensors", {"other.weight": ("F16", [4])})
    folder = in_shards("unnamed-shard-missing", "layers", 4, index=False)
    for number in range(1, 5):
        (folder / f"model-{number:05d}-of-00004.safetensors").rename(folder / f"part{number}.safetensors")
    (folder / "part3.safetensors").unlink()
    folder = make("half-an-index", "is missing")
    names = dict.fromkeys(plain(), "model.safetensors") | {"x.weight": "extra.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (make("still-downloading", "not whole") / "model.safetensors.aria2").write_bytes(b"\0")


def _bad_files(file: Callable[..., Path], header: Callable[..., None], make: Callable[..., Path]) -> None:
    weights(file("cut-off", "cut off"), plain(), more=-500)
    weights(file("too-long", "longer"), plain(), more=500)
    file("empty-file", "is empty").write_bytes(b"")
    file("zeros", "zeros").write_bytes(b"\0" * 4096)
    file("lfs-pointer", "Git LFS").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    )
    file("html", "no safetensors").write_text("<!doctype html><title>Sign in</title>" * 20)
    file("few-bytes", "no safetensors").write_bytes(b"\1\2\3")
    with file("huge-header", "no safetensors").open("wb") as out:
        out.write(struct.pack("<Q", 2**40) + b"{")
        out.truncate(2**41)
    with file("header-cut", "within its header").open("wb") as out:
        out.write(struct.pack("<Q", 5000) + b'{"a": 1')
    raw(file("header-no-json", "not JSON"), b'{"a": [1, 2', 100)
    raw(file("header-deep", "not JSON"), b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 0)
    header("outside", "place of", data_offsets=[-8, 8])
    header("beyond", "does not fit", data_offsets=[0, 2**62])
    header("overlap", "where another", data_offsets=[8064, 8192])
    header("wrong-shape", "does not fit", shape=[3, 3])
    header("odd-offsets", "place of", data_offsets=[True, 8192])
    path = make("a-pipe", "is no file") / "model.safetensors"
    path.unlink()
    os.mkfifo(path)


def _bad_formats(make: Callable[..., Path]) -> None:
    path = make("gguf", "GGUF") / "model.safetensors"
    path.rename(path.with_name("model-Q4_K_M.gguf"))
    path = make("pickled", "PyTorch") / "model.safetensors"
    path.rename(path.with_name("pytorch_model.bin"))
    (make("no-weights", "no weights") / "model.safetensors").unlink()
    folder = make("only-folders", "only folders")
    (folder / "4.0bpw").mkdir()
    (folder / "model.safetensors").rename(folder / "4.0bpw" / "model.safetensors")
    make("gptq", "GPTQ", quantization_config={"quant_method": "gptq", "bits": 4})
    weights(make("exl2", "exl2") / "model.safetensors", {"model.layers.0.mlp.q_weight": ("I32", [4, 4])})
    weights(make("awq", "AWQ") / "model.safetensors", {"model.layers.0.mlp.qweight": ("I32", [4, 4])})
    make("bnb", "bitsandbytes", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


def _bad_settings(make: Callable[..., Path]) -> None:
    (make("no-config", "config.json is missing") / "config.json").unlink()
    (make("config-cut", "not JSON") / "config.json").write_text('{"architectures": ["Llama')
    (make("no-tokenizer", "tokenizer.json is missing") / "tokenizer.json").unlink()
    folder = make("sentencepiece-only", "tokenizer.model alone")
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    make("no-architecture", "one architecture", architectures=[])
