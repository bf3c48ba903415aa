"""Commands that a message or a page proposes, so that they can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def options_text(given: Mapping[str, object]) -> str:
    """Options as they are typed behind a path; what was not given (None, empty, False) is left out.

    Args:
        given: name -> a value, several of them in a list or tuple, or True for an option without a value.

    >>> options_text({"group": "(.+)_shot", "site": "", "split-seed": 0, "accept": ["twins", "dark"], "fix": True})
    " --group '(.+)_shot' --split-seed 0 --accept twins --accept dark --fix"
    """
    words = []
    for name, value in given.items():
        several = value if isinstance(value, list | tuple) else [value]
        for each in several:
            if each is True:
                words.append(f" --{name}")
            elif each is not None and each is not False and each != "":
                words.append(f" --{name} {shlex.quote(str(each))}")
    return "".join(words)
