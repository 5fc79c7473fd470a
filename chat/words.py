"""Splits messages into terms, and searches the index of them for the messages of a person.

A term is a word, whatever its case, or one character of a script that has no blanks between words, or one character of any
other kind (a bracket, an emoji). word_index.py keeps them in the database. The index finds too much rather than too little:
the caller checks the texts of the messages.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connection

from models_admin.downloads import batches

LONGEST = 24  # characters of a term: a longer word is found by its beginning
MOST_TERMS = 10_000  # of one message: its first ones
PART = 2_000  # characters of a text that are split at once
MOST_WORDS = 4  # the index is asked for the longest words of a search
PREFIX = 3  # characters: FTS5 has an index for beginnings of this length
NEWEST = 2**63 - 1
RARE = 8  # a word is rare that less than one of so many messages has: the index is asked for it
SCANNED_AT_ONCE = 50  # conversations whose newest messages are scanned at once for a word that is not rare
NEWEST_OF_EACH = 100  # messages
# Thai, Lao, Burmese, Khmer, Japanese, Chinese: each character is a term.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0002ffff"
_TERM = re.compile(rf"[^\W_{UNSPACED}]+|[^\s]")


def parts(text: str) -> Iterator[list[str]]:
    """Yield the terms of a text, in its order and with repeats, as many at once as PART characters have.

    No other thread runs while a part is split; between the parts they may.
    """
    folded, at = text.casefold(), 0
    while at < len(folded):
        end = at + PART
        found = _TERM.findall(folded, at, end)
        at = end
        # A word at the end may go on behind it. One as long as the whole part is indexed by its beginning.
        if end < len(folded) and len(found) > 1 and not folded[end - 1].isspace():
            at -= len(found.pop())
        yield [each[:LONGEST] for each in found]


def terms(text: str) -> list[str]:
    """Return the terms of a text, in its order, with repeats."""
    return [each for part in parts(text) for each in part]


def matching(owner: int, words: Iterable[str], most: int) -> list[int]:
    """Return the newest messages of this person, `most` at most, that may have all the words, or longer ones."""
    longest = _longest(words)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            return _in_fts(
                cursor, owner, [part for word in longest for part in _fts_terms(terms(word))], most
            )
        # Materialized, so that PostgreSQL uses the index, and does not check one message after the other from the newest on.
        cursor.execute(
            "WITH found AS MATERIALIZED (SELECT id FROM chat_message WHERE words @@ %s::tsquery) "
            "SELECT id FROM found ORDER BY id DESC LIMIT %s",
            [_ts_query(cursor, owner, longest), most],
        )
        return [pk for (pk,) in cursor.fetchall()]


def frequent(
    owner: int, words: Iterable[str], latest: Iterable[uuid.UUID], most: int
) -> Generator[list[tuple[int, uuid.UUID]], None, bool]:
    """Yield messages that may have all the words, with their conversations, for as long as one in RARE has.

    `latest` are the person's conversations. Return whether matching() may find more. PostgreSQL's index finds all messages
    with a word before it gives the newest. For a frequent word that takes longer than to scan the newest messages. FTS5
    gives the newest first, and nothing is scanned.
    """
    if connection.vendor == "sqlite":
        return True
    scanned, found, cut = 0, 0, False
    with connection.cursor() as cursor:
        query = _ts_query(cursor, owner, _longest(words))
        for some in batches(latest, SCANNED_AT_ONCE):
            cursor.execute(_SCAN, [query, list(some), NEWEST_OF_EACH])
            rows = cursor.fetchall()
            yield [(pk, where) for where, _, having in rows for pk in having or ()]
            scanned += sum(count for _, count, _ in rows)
            found += sum(len(having or ()) for _, _, having in rows)
            cut = cut or any(count == NEWEST_OF_EACH and not having for _, count, having in rows)
            if found >= most:
                return False
            if found * RARE < scanned:
                return True
    return cut


_SCAN = """
  SELECT c.id, count(*), array_agg(m.id ORDER BY m.id DESC) FILTER (WHERE m.words @@ %s::tsquery)
  FROM unnest(%s::uuid[]) c(id) CROSS JOIN LATERAL (
    SELECT id, words FROM chat_message WHERE conversation_id = c.id ORDER BY id DESC LIMIT %s
  ) m GROUP BY c.id"""


def _longest(words: Iterable[str]) -> list[str]:
    return sorted(set(words), key=len, reverse=True)[:MOST_WORDS]


def _in_fts(cursor: Any, owner: int, asked: list[str], most: int) -> list[int]:
    """Return the newest rows that have all of `asked`: quoted terms, with a star behind the beginning of one."""
    mine = f'"_o{owner}"'
    long = [each for each in asked if each.endswith("*") and len(each) > len('""*') + PREFIX]
    found, upto = _by_first_characters(cursor, mine, asked, long, most) if long else ([], NEWEST)
    if upto and len(found) < most:
        cursor.execute(
            "SELECT rowid FROM chat_words WHERE chat_words MATCH %s AND rowid <= %s ORDER BY rowid DESC LIMIT %s",
            [" ".join([mine, *asked]), upto, most - len(found)],
        )
        found += [pk for (pk,) in cursor.fetchall()]
    return found


def _by_first_characters(
    cursor: Any, mine: str, asked: list[str], long: list[str], most: int
) -> tuple[list[int], int]:
    """Return the newest rows that have all of `asked`, and the newest row that was not checked (0: none).

    FTS5 reads the rows of a short beginning from the newest on. For a `long` one it first collects the rows of everybody. So
    the long ones are asked for by their first characters, as long as many of the rows with these have the rest, too.
    """
    rest = [f" {each[1:-2]}" for each in long]
    short = [f'{each[: PREFIX + 1]}"*' if each in long else each for each in asked]
    cursor.execute(
        "SELECT rowid, terms FROM chat_words WHERE chat_words MATCH %s ORDER BY rowid DESC",
        [" ".join([mine, *short])],
    )
    found: list[int] = []
    for looked_into, (pk, indexed) in enumerate(iter(cursor.fetchone, None)):
        if len(found) == most or looked_into > RARE * (len(found) + 200):
            return found, pk
        if all(each in f" {indexed}" for each in rest):
            found.append(pk)
    return found, 0


def _is_word(term: str) -> bool:
    return term[-1].isalnum()


def _fts_terms(found: list[str]) -> list[str]:
    *inner, last = found or [""]
    if not last:
        return []
    return [
        *(f'"{_encoded(each)}"' for each in inner),
        f'"{_encoded(last)}"' + ("*" if _is_word(last) else ""),
    ]


def _ts_query(cursor: Any, owner: int, longest: Iterable[str]) -> str:
    """Return the tsquery for the messages of this person with all these words, each term with its owner in front."""
    asked: list[str] = []
    for word in longest:
        cursor.execute("SELECT gantry_terms(%s)", [word])
        found = [each.replace("\\", "\\\\").replace("'", "''") for each in cursor.fetchone()[0]]
        asked += [f"'{owner}/{each}'" for each in found]
        if found and _is_word(found[-1]):
            asked[-1] += ":*"
    return " & ".join(asked) or f"'{owner}/':*"


def _encoded(term: str) -> str:
    """Return a term so that FTS5's `ascii` tokenizer keeps it whole: as it is, or as “_” and a number in hexadecimal."""
    return f"_{ord(term):x}" if term.isascii() and not term.isalnum() else term


def index_terms(text: str | None) -> str:
    """Return what the FTS5 table keeps of a text: its first MOST_TERMS different terms, encoded, with blanks between."""
    found: dict[str, None] = {}
    for part in parts(text or ""):
        found.update(dict.fromkeys(part))
        if len(found) >= MOST_TERMS:
            break
    return " ".join(map(_encoded, islice(found, MOST_TERMS)))
