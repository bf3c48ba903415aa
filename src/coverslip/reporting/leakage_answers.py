"""What a run's files say of the split and of leakage, a function a question of the checklist; "" where they do not."""

from __future__ import annotations

from coverslip.reporting.flow import Flow, count_steps
from coverslip.reporting.methods import split_sentence
from coverslip.reporting.run_files import RunFiles, model_facts
from coverslip.reporting.training_words import chooses, choosing_part, depth_of
from coverslip.reporting.wording import count_text


def tell_partitions(files: RunFiles) -> str:
    """How images came into the parts."""
    return split_sentence(files, count_steps(files))


def tell_disjoint(files: RunFiles) -> str:
    """On what level the parts have nothing in common."""
    flow = count_steps(files)
    if flow is None or not files.trained_here or len(flow.parts) < 2:
        return ""
    if not files.grouped:
        return "On that of single images (copies together): no groups were named, so the result may be too good."
    cut = _straddling(files)
    if cut:
        return f"Groups were named, but {count_text(cut, 'group')} {'is' if cut == 1 else 'are'} in more than one part."
    return f"On that of groups ({(files.audit or {}).get('grouped_by')}): none of {_groups(flow)} is in two parts."


def _groups(flow: Flow) -> str:
    return count_text(flow.used.groups or 0, "group")


def _straddling(files: RunFiles) -> int:
    places: dict[str, set[str]] = {}
    for row in files.table or []:
        if row.get("group") and row.get("split"):
            places.setdefault(row["group"], set()).add(row["split"])
    return sum(len(parts) > 1 for parts in places.values())


def tell_duplicates(files: RunFiles) -> str:
    """Copies, and what was done so that they do not leak."""
    twins = (files.audit or {}).get("twins")
    if not isinstance(twins, dict) or not files.trained_here:
        return ""
    exact = int(twins.get("images") or 0)
    text = f"Exact copies were looked for: {count_text(exact, 'image') if exact else 'none'}"
    near = twins.get("near")
    text += f"; near copies: {count_text(near, 'set') if near else 'none'}." if isinstance(near, int) else "."
    names = {each.get("name"): each for each in (files.audit or {}).get("findings") or []}
    leak = names.get("copy-leak")
    if leak and leak.get("decision") not in ("fixed", "dropped"):
        return f"{text} Some lie in two parts: {leak.get('title')}."
    return text + (" Copies were kept in one part." if exact or twins.get("near") else "")


def tell_preprocessing(files: RunFiles) -> str:
    """Whether anything was learned from test images before the test."""
    spec = model_facts(files).get("input")
    if not isinstance(spec, dict) or not files.trained_here:
        return ""
    learned = "The percentiles by which grey values are stretched" if spec.get("low") else ""
    fixed = "Nothing of the preparation was computed from the data; its numbers are the network's own."
    text = f"{learned} are of training images only." if learned else fixed
    if depth_of(files) in ("head", ""):
        return text + " The head, its penalty and its temperature come from the training set."
    chosen = f"; {choosing_part(files)} chose the epoch and the temperature" if chooses(files) else ""
    return f"{text} The weights come from the training set{chosen}."


def tell_test_once(files: RunFiles) -> str:
    """How often the test set was opened, and for what."""
    images = files.test.get("images")
    if not files.trained_here or not images:
        return ""
    ledger = files.test.get("ledger")
    if not isinstance(ledger, list) or not ledger:
        return f"{count_text(images, 'image')} were held back and opened after the model was saved; they set nothing."
    if len(ledger) == 1:
        return f"{count_text(images, 'image')} were held back and scored once, after the model was saved."
    return (
        f"These {count_text(images, 'image')} were scored {len(ledger):,} times so far. Where the choice between "
        "those runs was made by their test scores, the score is too good."
    )


def tell_shortcuts(files: RunFiles) -> str:
    """Whether the label can be told from something other than the subject."""
    probes = (files.audit or {}).get("shortcuts")
    if not isinstance(probes, list) or not probes:
        return ""
    tried = [each for each in probes if each.get("value") is not None]
    found = [str(each.get("title")) for each in tried if each.get("verdict") == "warns"]
    probes = f"{count_text(len(tried), 'probe')} that cannot see the subject"
    return f"Of {probes} {len(found)} warned: {'; '.join(found)}." if found else f"Of {probes} none warned."
