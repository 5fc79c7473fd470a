"""Judges the weights: each file by its header, and all of them together by the index, their numbers and config.json.

TabbyAPI reads every *.safetensors file of the folder, whatever the index says. So a file that the index lacks is loaded,
too, and one that the index alone knows is missing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from models_admin.model_files import safetensors
from models_admin.model_files.folder import Entry, Folder, NotJson
from models_admin.model_files.report import Report, Unjudged, named
from models_admin.model_files.safetensors import Damaged, Tensor
from models_admin.model_files.settings_files import AGAIN

INDEX = "model.safetensors.index.json"
MOST_INDEX = 64 * 1024**2
MOST_FILES = 2_000
MOST_NAMED = 3
UNFINISHED = (".aria2", ".part", ".crdownload", ".incomplete", ".download", ".!qB")
_NUMBERED = re.compile(r"(.+)-(\d{1,6})-of-(\d{1,6})\.safetensors")
_LAYER = re.compile(r"(?:(?:model|language_model)\.)*layers\.(\d{1,5})\.")
_UNSAVED = ("rotary_emb.inv_freq",)  # tensors that old indexes name and no file needs


def judge(folder: Folder, config: Mapping[str, Any], report: Report) -> dict[str, Tensor]:
    """Judge all files of weights; return the tensors in them."""
    files = [each for each in folder.entries.values() if each.name.endswith(".safetensors")]
    for each in files:
        _judge_name(folder, each, report)
    tensors = _tensors(
        folder, [each for each in files if each.kind not in ("missing", "other", "folder")], report
    )
    missing = _missing_numbers(files, folder, report)
    _judge_index(folder, tensors, missing, report)
    if report.complete and not report.problems:
        _judge_layers(config, tensors, report)
    return tensors


def _judge_name(folder: Folder, entry: Entry, report: Report) -> None:
    """Refuse what cannot be read as a file, and what another program is still writing."""
    if entry.kind == "missing":
        report.refuse(
            f"{named(entry.name)} is a link to nothing",
            "Put back what it leads to, or download the model again.",
        )
    elif entry.kind in ("folder", "other"):
        report.refuse(f"{named(entry.name)} is no file", AGAIN)
    elif unfinished := [end for end in UNFINISHED if entry.name + end in folder.entries]:
        report.refuse(
            f"{named(entry.name)} is not whole: {named(entry.name)}{unfinished[0]} lies beside it",
            "Wait for its download to end, or download it again.",
        )


def _tensors(folder: Folder, files: list[Entry], report: Report) -> dict[str, Tensor]:
    """Return the tensors of all files, and refuse damaged files and two files with different tensors of one name."""
    found: dict[str, Tensor] = {}
    places: dict[str, str] = {}
    if len(files) > MOST_FILES:
        report.unjudged(f"It has {len(files):,} files of weights, of which {MOST_FILES:,} were looked at.")
    for entry in sorted(files, key=lambda each: each.name)[:MOST_FILES]:
        try:
            inside = safetensors.tensors(folder, entry)
        except Damaged as error:
            report.refuse(f"{named(entry.name)} {error}", "Download this file again.")
            report.complete = False
            continue
        except Unjudged as error:
            report.unjudged(f"{error}.")
            continue
        _judge_twice(entry.name, inside, found, places, report)
        found |= inside
        places |= dict.fromkeys(inside, entry.name)
    return found


def _judge_twice(
    name: str,
    inside: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    places: Mapping[str, str],
    report: Report,
) -> None:
    """Refuse a file with a tensor that another one has in another shape: TabbyAPI would take either."""
    twice = inside.keys() & before.keys()
    different = sorted(each for each in twice if inside[each] != before[each])
    if different:
        other = places[different[0]]
        report.refuse(
            f"{named(other)} and {named(name)} both have {named(different[0])}, and not the same",
            "Files of two models or versions are mixed: TabbyAPI reads all of them. Remove those that do not belong there.",
        )
    elif twice:
        report.note(f"{named(name)} repeats tensors of {named(places[min(twice)])}.")


def _missing_numbers(files: Iterable[Entry], folder: Folder, report: Report) -> set[str]:
    """Refuse a series “…-00001-of-00004” that is not whole; return the names of the files that it lacks."""
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in files:
        if match := _NUMBERED.fullmatch(each.name):
            series[match[1], match[3]].append(match[2])
    missing: set[str] = set()
    for (begin, of), numbers in series.items():
        width = len(numbers[0])
        first = 0 if "0" * width in numbers else 1
        there = {int(number) for number in numbers}
        if int(of) <= MOST_FILES:
            wanted = range(first, first + int(of))
            missing |= {
                f"{begin}-{each:0{width}d}-of-{of}.safetensors" for each in wanted if each not in there
            }
    _refuse_missing(missing, report)
    return missing


def _refuse_missing(missing: set[str], report: Report) -> None:
    if missing:
        shown = ", ".join(named(each) for each in sorted(missing)[:MOST_NAMED])
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        verb = "is" if len(missing) == 1 else "are"
        report.refuse(f"{shown}{more} {verb} missing", "Download what is missing, or the whole model again.")


def _judge_index(folder: Folder, tensors: Mapping[str, Tensor], known: set[str], report: Report) -> None:
    """Refuse where the index names files or tensors that are not there. `known`: files that are known to be missing."""
    if INDEX not in folder.entries:
        return
    try:
        index = folder.json(INDEX, MOST_INDEX).get("weight_map")
    except NotJson as error:
        report.note(f"{INDEX} {error}.")
        return
    except Unjudged as error:
        report.unjudged(f"{error}.")
        return
    if not isinstance(index, dict) or not all(isinstance(each, str) for each in index.values()):
        report.note(f"{INDEX} does not say which file has which tensor.")
        return
    files = set(index.values())
    missing = {each for each in files if each not in folder.entries}
    if missing == files and tensors:
        report.note(f"{INDEX} belongs to other files: it names none of these.")
    elif missing:
        _refuse_missing(missing - known, report)
    elif report.complete and not any(name.endswith(".trellis") for name in tensors):
        absent = sorted(each for each in index.keys() - tensors.keys() if not each.endswith(_UNSAVED))
        if absent:
            report.refuse(
                f"{named(index[absent[0]])} does not have {named(absent[0])}, as the index says "
                f"({len(absent):,} tensors are missing)",
                "A file of another model or version is among them. Download the model again.",
            )


def _judge_layers(config: Mapping[str, Any], tensors: Iterable[str], report: Report) -> None:
    """Refuse where layers are missing that config.json speaks of."""
    inner = config.get("text_config")
    count = (inner if isinstance(inner, dict) else config).get("num_hidden_layers")
    found = {int(match[1]) for name in tensors if (match := _LAYER.match(name))}
    if type(count) is not int or not 0 < count <= 10_000 or not found or "block_configs" in config:
        return
    if missing := [each for each in range(count) if each not in found]:
        report.refuse(
            f"the weights have {count - len(missing)} of the {count} layers of which config.json speaks",
            "A file is missing, or config.json is of another model. Download the model again.",
        )
