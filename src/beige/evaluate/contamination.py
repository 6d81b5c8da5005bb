"""Whether a model may have seen a data set: what its card, or its folder's README, says that it was trained on."""

import re
from collections.abc import Mapping
from pathlib import Path

from beige.errors import ModelNotFoundError
from beige.evaluate.systems import System
from beige.models.catalogue import find_card

_SAME: Mapping[str, str] = {
    "xquad": "squad",
    "xquadr": "squad",
    "cmrc2018": "cmrc",
    "naturalquestions": "nq",
    "snli": "nli",
    "multinli": "nli",
    "allnli": "nli",
}
"""Data sets that were made of another one, and other names, by plain name."""


def contamination(system: System, data: str) -> list[str]:
    """One sentence for each training set of the system's model that the data set is, or was made of.

    Args:
        system: whose dense model is looked at.
        data: the data set's name, such as "scifact/test".
    """
    if system.model is None:
        return []
    wanted = _plain(data.partition("/")[0].removesuffix(".csv"))
    return [
        f"the card of {system.model.name} lists {name} among its training data: a figure on {data} may flatter it"
        for name in _trained_on(system.model.name)
        if _plain(name.rpartition("/")[2]) == wanted
    ]


def _trained_on(model: str) -> tuple[str, ...]:
    if Path(model).expanduser().is_dir():
        return _listed(Path(model).expanduser() / "README.md")
    try:
        return find_card(model).trained_on
    except ModelNotFoundError:
        return ()


def _listed(readme: Path) -> tuple[str, ...]:
    """The data sets of a README's head, as the Hub's model cards have it: `datasets:` and a list below it."""
    try:
        head = re.match(r"---\n(.*?)\n---", readme.read_text("utf-8", errors="replace"), re.DOTALL)
    except OSError:
        return ()
    found = re.search(r"^datasets:\s*\n((?:\s*-\s*.+\n?)+)", head[1], re.MULTILINE) if head else None
    return tuple(re.findall(r"-\s*['\"]?([^'\"\n]+)", found[1])) if found else ()


def _plain(name: str) -> str:
    """A data set's name without language, split, punctuation and mteb's additions, or that of what it was made of."""
    short = re.sub(r"(?i)[-_](en|zh|de|es|ar|fr|ja|ko|ru|dev|test|train)\b", "", name)
    plain = re.sub(r"[^a-z0-9]", "", short.lower())
    plain = re.sub(r"^nano(?=.)|(?<=.)(retrieval|hardnegatives|classification|clustering)+$", "", plain)
    return _SAME.get(plain, plain)
