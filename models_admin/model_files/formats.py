"""Judges in which format the weights are, by config.json and by the tensors' names and types.

TabbyAPI runs exllamav3 only. It loads models quantized as exl3 and plain ones (fp16, bf16, fp32, fp8, gpt-oss' experts), and
keeps these as fp16. GPTQ and exl2 it refuses by their name; of all others it finds no tensor that it knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from models_admin.model_files.folder import Folder
from models_admin.model_files.report import Report
from models_admin.model_files.safetensors import Tensor

# {quant_method in config.json: the name that people know}
REFUSED = {
    "gptq": "GPTQ", "exl2": "exl2", "awq": "AWQ", "bitsandbytes": "bitsandbytes", "gguf": "GGUF", "hqq": "HQQ",
    "aqlm": "AQLM", "quip": "QuIP", "spqr": "SpQR", "vptq": "VPTQ", "bitnet": "BitNet", "eetq": "EETQ", "higgs": "HIGGS",
}  # fmt: skip
# {the end of a tensor's name: the format that has such}
SIGNS = {
    ".q_weight": "exl2", ".qweight": "GPTQ or AWQ", ".weight_packed": "compressed-tensors with packed weights",
    ".quant_map": "bitsandbytes", ".SCB": "bitsandbytes", ".W_q": "HQQ", ".weight_scale_2": "NVFP4",
}  # fmt: skip
OTHER_FILES = {
    ".gguf": "GGUF", ".ggml": "GGML", ".bin": "PyTorch's .bin", ".pth": "PyTorch's .pth", ".pt": "PyTorch's .pt",
    ".onnx": "ONNX", ".npz": "MLX",
}  # fmt: skip
PLAIN = {"BF16": "bf16", "F16": "fp16", "F32": "fp32", "F8_E4M3": "fp8"}
CHOOSE = "TabbyAPI loads exl3 and unquantized models (safetensors): get this model in one of these formats."


def without_weights(folder: Folder, report: Report) -> None:
    """Say what is there in the place of safetensors files."""
    entries = folder.entries.values()
    kinds = {kind for each in entries for end, kind in OTHER_FILES.items() if each.name.lower().endswith(end)}
    if kinds:
        report.format = " and ".join(sorted(kinds))
        report.refuse(f"its weights are {report.format}, not safetensors", CHOOSE)
    elif any(each.name.lower().endswith(".safetensors") for each in entries):
        report.refuse(
            "its weights are not named *.safetensors", "Give the files names that end so, in small letters."
        )
    elif below := sorted(
        each.name for each in entries if each.kind == "folder" and not each.name.startswith(".")
    ):
        report.refuse(
            "it has no weights of its own, only folders",
            f"TabbyAPI loads what lies directly in a model's folder: move {below[0]} into the model folder.",
        )
    else:
        report.refuse("it has no weights: no *.safetensors file", "Download the model again.")


def judge(config: Mapping[str, Any], tensors: Mapping[str, Tensor], report: Report) -> None:
    """Write the format into the report, and refuse one that TabbyAPI cannot load."""
    about = config.get("quantization_config") or config.get("compression_config")
    about = about if isinstance(about, dict) else {}
    method = str(about.get("quant_method") or "").lower()[:32]
    strange = REFUSED.get(method) or _by_names(tensors)
    if strange:
        report.format = strange
        report.refuse(f"it is quantized as {strange}", CHOOSE)
    elif any(name.endswith(".trellis") for name in tensors):
        bits = about.get("bits")
        report.format = f"exl3 {bits:g} bpw" if type(bits) in (int, float) else "exl3"
    else:
        report.format = " ".join(filter(None, [method, _plain(tensors.values())])) or "safetensors"


def _by_names(tensors: Iterable[str]) -> str:
    for name in tensors:
        for end, kind in SIGNS.items():
            if name.endswith(end):
                return kind
    return ""


def _plain(tensors: Iterable[Tensor]) -> str:
    """Return the type that most of the weights have."""
    sizes: Counter[str] = Counter()
    for each in tensors:
        sizes[each.dtype] += each.size
    most = sizes.most_common(1)
    return PLAIN.get(most[0][0], "") if most else ""
