"""Options of commands as text, so that messages and pages can propose commands to paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def options_text(options: Mapping[str, object]) -> str:
    """Return options as they are typed after the arguments of a command; unset ones are omitted.

    Args:
        options: name -> a value, a list or tuple of values, or True for a flag. None, False and "" mean unset.

    >>> options_text({"group": "(.+)_shot", "site": "", "split-seed": 0, "accept": ["no-groups", "dark"], "fix": True})
    " --group '(.+)_shot' --split-seed 0 --accept no-groups --accept dark --fix"
    """
    words = []
    for name, content in options.items():
        for value in content if isinstance(content, list | tuple) else [content]:
            if value is True:
                words.append(f" --{name}")
            elif value is not None and value is not False and value != "":
                words.append(f" --{name} {shlex.quote(str(value))}")
    return "".join(words)
