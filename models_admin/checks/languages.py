"""In which language a text is, as far as its script and its commonest words show."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

LANGUAGES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "ru": "Russian", "el": "Greek", "ar": "Arabic", "he": "Hebrew", "hi": "Hindi",
    "th": "Thai", "ko": "Korean", "ja": "Japanese", "zh": "Chinese",
}  # fmt: skip
_COMMON = {
    "en": "the of and to is that it for you with are this on be was have as not in i my your a",
    "de": "der die das und ist ich nicht ein eine zu den mit von auf für es sie wir im dem auch sich wie",
    "fr": "le la les des et est un une que je vous pas dans pour ce qui du nous avec au sur il elle c'est",
    "es": "el la los las que y en un una es por con para no se del lo su como más pero muy está",
    "it": "il lo gli che di è un una per non con sono del della si le come ma anche nel più questo",
    "pt": "o a os as que e do da em um uma é não para com por se na no mais como você muito está",
    "nl": "de het een en van is dat ik niet je op te met voor zijn er maar ook aan om hij dit",
    "pl": "w i się na nie to z że jest do jak o ale po co za od czy przez dla są być tym",
}
_WORDS = {name: frozenset(words.split()) for name, words in _COMMON.items()}
_SCRIPTS = {
    "CYRILLIC": "ru", "GREEK": "el", "ARABIC": "ar", "HEBREW": "he", "DEVANAGARI": "hi", "THAI": "th",
    "HANGUL": "ko", "CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja",
}  # fmt: skip
_FEWEST_WORDS = 5
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def language_of(text: str) -> str:
    """Return the language of a text (a key of LANGUAGES); '' where the text does not tell it clearly."""
    scripts = Counter(unicodedata.name(each, "?").split()[0] for each in text if each.isalpha())
    if not scripts:
        return ""
    letters = sum(scripts.values())
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > letters * 0.1:
        return "ja"
    script, count = scripts.most_common(1)[0]
    if script != "LATIN":
        return _SCRIPTS.get(script, "") if count > letters / 2 else ""
    words = [each.lower() for each in _WORD.findall(text)]
    hits = Counter({name: sum(word in common for word in words) for name, common in _WORDS.items()})
    (best, most), (_, second) = hits.most_common(2)
    clear = most >= 2 and most >= len(words) * 0.15 and most >= second * 1.5
    return best if len(words) >= _FEWEST_WORDS and clear else ""
