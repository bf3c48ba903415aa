# ---
# title: A result you can defend
# number: 5
# minutes: 50
# needs: []
# ---
# %% [markdown]
# # A result you can defend
#
# You can now build a network, train it, improve it and compare it. The last lesson is about the moment when somebody
# else looks at your result: a supervisor, a reviewer, or a farmer who decides with it whether to spray. Almost all
# results that turn out to be wrong have one of two causes: **the test set was not independent of the training set**, or
# **the network used something else than you think**. You cannot see either from the score.
#
# At the end you train on a folder, perhaps your own, and read the report like a reviewer.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip import figures
from coverslip.course import check, images
from coverslip.course.frozen import frozen_features
from coverslip.evidence import format_interval

folder = None  # your own images: put the path of a folder here
group = ""  # which of your own images belong together, such as "shots:3"; see help(coverslip.scan)
# %% [markdown]
# ## Ten photographs of one leaf are not ten leaves
#
# Here are leaves that were photographed five times each. We put some leaves aside (`new`): they represent the leaves
# that your *readers* will have. All others are the study. A network that was trained on a million photographs computes
# 1,280 features of each image (lesson 4), and we train one layer on them, which takes a second.
# %%
leaves = images(folder, classes=15, size=64, leaves=12, shots=5, group=group, max_per_class=60)
study, new = leaves.split(seed=0, test_fraction=0.4)
print(leaves)
print(f"\nstudy: {len(study)} images of {len(set(study.groups))} leaves; put aside: {len(set(new.groups))} new leaves")
first = study.groups[0]
rows = [row for row, name in enumerate(study.groups) if name == first]
figures.examples(study.x[rows], study.y[rows], study.names)
# %% [markdown]
# These are several images of one leaf. Now somebody splits the study into training and test set as in most tutorials:
# shuffle the **images**, and hold out a quarter of them.
# %%
order = np.random.default_rng(0).permutation(len(study))
held_out = len(study) // 4
train_by_image, test_by_image = study.take(order[held_out:]), study.take(order[:held_out])
# %% [markdown] task="5.1"
# **Task 5.1** How many of the leaves in this test set *also* have images in the training set? `train_by_image.groups`
# contains the name of the leaf of each image. `set(...)` turns it into a set of names, and `a & b` is the intersection
# of two sets: the names that are in both.
# %% task="5.1"
in_both_sets = ...
check("5.1", in_both_sets, train_by_image, test_by_image)
# %% solution="5.1"
in_both_sets = len(set(train_by_image.groups) & set(test_by_image.groups))
check("5.1", in_both_sets, train_by_image, test_by_image)
# %% wrong="5.1" says="images"
in_both_sets = sum(name in train_by_image.groups for name in test_by_image.groups)
check("5.1", in_both_sets, train_by_image, test_by_image)
# %% wrong="5.1" says="either set"
in_both_sets = len(set(train_by_image.groups) | set(test_by_image.groups))
check("5.1", in_both_sets, train_by_image, test_by_image)
# %% wrong="5.1" says="count"
in_both_sets = set(train_by_image.groups) & set(test_by_image.groups)
check("5.1", in_both_sets, train_by_image, test_by_image)
# %% check="5.1"
HINTS = (
    "Make two sets of names, one for each set of images, and compute their intersection.",
    "len(set(train_by_image.groups) & set(test_by_image.groups))",
)


def grade(in_both_sets, train, test):
    """The number of leaves with images in both sets."""
    if isinstance(in_both_sets, set):
        return "This is the set of their names; len(...) counts them."
    train_leaves, test_leaves = set(train.groups), set(test.groups)
    both = train_leaves & test_leaves
    if in_both_sets == sum(name in train_leaves for name in test.groups) != len(both):
        return "This counts images, but the task asks for leaves. Several images of the test set show the same leaf."
    if in_both_sets == len(train_leaves | test_leaves) != len(both):
        return "These are the leaves in either set; use & for the leaves that are in both."
    if in_both_sets != len(both):
        return f"{in_both_sets} is not correct. Compare the two sets of names."
    if not both:
        return Passed(
            "None: in this folder each image counts as its own leaf. If this is wrong, fill in `group` above."
        )
    return Passed(f"{len(both)} of the {len(test_leaves)} test leaves were used in training. This is not a valid test.")


# %% [markdown] teacher="5.1"
# **Purpose.** Leakage can be counted in one line. Ask who in the group has ever checked it for a paper.
#
# **Typical answers.** Images are counted instead of leaves: exactly the confusion that this lesson is about.
# %%
features = {}


def compute_features(subset):
    """Compute the features of all images with the frozen network once, and keep them."""
    keys = [(subset.source, path) for path in subset.paths]
    features.update(zip(keys, frozen_features(subset.x, side=96), strict=True))


def features_of(subset):
    return np.stack([features[subset.source, path] for path in subset.paths])


def head(subset):
    """Train one layer on the features of these images."""
    torch.manual_seed(0)
    layer = nn.Linear(1280, len(subset.names))
    coverslip.fit(layer, features_of(subset), subset.y, epochs=40, lr=1e-3, validation_split=0, verbose=0)
    return layer


def score(layer, subset):
    return coverslip.evaluate(layer, features_of(subset), subset.y, groups=subset.groups, classes=subset.names)


compute_features(leaves)
train_by_leaf, test_by_leaf = study.split(seed=0, test_fraction=0.25)  # whole leaves, as Coverslip always does it
by_image, by_leaf = head(train_by_image), head(train_by_leaf)
claimed_by_image, true_by_image = score(by_image, test_by_image), score(by_image, new)
claimed_by_leaf, true_by_leaf = score(by_leaf, test_by_leaf), score(by_leaf, new)
print("split by image: test set  ", claimed_by_image)
print("                new leaves", true_by_image)
print()
print("split by leaf:  test set  ", claimed_by_leaf)
print("                new leaves", true_by_leaf)
print()
for name, claimed, true in (("image", claimed_by_image, true_by_image), ("leaf", claimed_by_leaf, true_by_leaf)):
    inside = claimed.accuracy["low"] <= true.accuracy["value"] <= claimed.accuracy["high"]
    print(f"split by {name}: the interval {'contains' if inside else 'does NOT contain'} the accuracy on new leaves")
# %% [markdown] task="5.2"
# **Task 5.2** When images of the same leaf are in the training set and in the test set, information **leaks** into the
# test, and the score is too high. How large is this **inflation** for the split by image? Take the accuracy on its test
# set minus the accuracy on the new leaves. (A score has `.accuracy["value"]`, `["low"]` and `["high"]`.)
# %% task="5.2"
inflation = ...
check("5.2", inflation, claimed_by_image, true_by_image)
# %% solution="5.2"
inflation = claimed_by_image.accuracy["value"] - true_by_image.accuracy["value"]
check("5.2", inflation, claimed_by_image, true_by_image)
# %% wrong="5.2" says="other way round"
inflation = true_by_image.accuracy["value"] - claimed_by_image.accuracy["value"]
check("5.2", inflation, claimed_by_image, true_by_image)
# %% wrong="5.2" says="percent"
inflation = 100 * (claimed_by_image.accuracy["value"] - true_by_image.accuracy["value"])
check("5.2", inflation, claimed_by_image, true_by_image)
# %% wrong="5.2" says="expected a number"
inflation = claimed_by_image
check("5.2", inflation, claimed_by_image, true_by_image)
# %% wrong="5.2" says="two ways to split"
inflation = claimed_by_image.accuracy["value"] - claimed_by_leaf.accuracy["value"]
check("5.2", inflation, claimed_by_image, true_by_image)
# %% check="5.2"
HINTS = (
    "Use two accuracies of the network that was trained with the split by image: claimed, and true.",
    'claimed_by_image.accuracy["value"] - true_by_image.accuracy["value"]',
)


def grade(inflation: float, claimed, true):
    """The claimed accuracy minus the true accuracy of the split by image."""
    expected = claimed.accuracy["value"] - true.accuracy["value"]
    if abs(inflation + expected) < 5e-4 < abs(expected):
        return "It is the other way round: the claimed accuracy minus the true accuracy."
    if abs(inflation - 100 * expected) < 1 < abs(inflation):
        return "This is in percent; here accuracies are numbers from 0 to 1, and so is their difference."
    if abs(inflation - expected) > 5e-3:
        return "This is another difference. Do not compare two ways to split, but one network on two sets of leaves."
    low, high = (f"{true.accuracy[end]:.2f}" for end in ("low", "high"))
    if expected > 0.02:
        accuracy = f"{true.accuracy['value']:.2f} [{low}, {high}]"
        return Passed(f"The score is {inflation:.2f} too high. On new leaves readers will find {accuracy}.")
    return Passed(f"{inflation:.2f}: no relevant leakage here, or too few leaves to show it.")


# %% [markdown] teacher="5.2"
# **Purpose.** To measure the most expensive mistake of the field. The score of the split by image is too high, and its
# confidence interval does not help, since the test leaves were used in training.
#
# **Question for the group.** The network trained with the split by image is *better* on new leaves (it saw more
# leaves). So was the split wrong? The network is fine, but its *score* is not.
#
# **When results differ.** With own folders of single images the inflation is about 0, since nothing can leak. If images
# do belong together, fill in `group`.
# %% [markdown]
# The score of the split by leaf is lower, and its interval is wider, since its test set has few leaves. But it is
# valid. `coverslip audit` estimates the inflation by leakage for any folder.
# %% [markdown] slide
# The leaf, the patient or the slide is the independent unit. Split by it, count it, and compute the confidence interval
# over it.
# %% [markdown]
# ## Right for the wrong reason
#
# Here is another study: four classes, split by leaf, everything as it should be.
# %%
tricky = images(None, classes=4, size=64, leaves=30, shots=2, shortcut=True)
tricky_train, tricky_test = tricky.split(seed=0)
compute_features(tricky)
tricky_head = head(tricky_train)
print("test set:", score(tricky_head, tricky_test))
# %% [markdown]
# Would you publish this result? First look at the images, as long as you like.
# %%
figures.examples(tricky.x, tricky.y, tricky.names, most=24)
# %% [markdown]
# The audit tests for **shortcuts**: can the classes be predicted **without the subject**? It tries this with eight
# pixels of the border, with the colors of the border, and with file sizes and names. If it succeeds with pixels, a
# network can do the same instead of looking at the leaf. (The audit takes ten seconds. *Balanced accuracy* is the mean
# of the accuracies of all classes, so that a large class does not count more.)
# %%
severities = {"blocks": "error", "warns": "warning", "notes": "note"}
audit = coverslip.audit(tricky.source)
for finding in audit.findings:
    print(f"{severities[finding.severity]}: {finding.name}\n    {finding.title}\n    {finding.meaning}\n")
# %% [markdown] task="5.3"
# **Task 5.3** Which finding shows that the *network* may have used the background? Give its name as a text in quotes;
# it is printed above, directly after `warning:` or `note:`. (If more than one finding shows it, choose any of them.)
# %% task="5.3"
finding_name = ...
check("5.3", finding_name)
# %% solution="5.3"
finding_name = "shortcut-border"
check("5.3", finding_name)
# %% wrong="5.3" says="never sees"
finding_name = "shortcut-file-size"
check("5.3", finding_name)
# %% wrong="5.3" says="copies"
finding_name = "near-copies"
check("5.3", finding_name)
# %% wrong="5.3" says="no finding"
finding_name = "background"
check("5.3", finding_name)
# %% check="5.3"
HINTS = (
    "Its name begins with shortcut. Which of them is about pixels that a network sees, and not about the file?",
    "The border of an image shows the background.",
)


def grade(finding_name: str):
    """The name of the finding about the background."""
    name = finding_name.strip().lower()
    if name in ("shortcut-border", "shortcut-border-color"):
        return Passed("Yes: a few pixels of background predict most classes. The score says nothing about the leaves.")
    if name == "shortcut-file-size":
        return "File sizes differ, too, but a network never sees them. Which finding is about pixels?"
    if "copies" in name:
        return "Because of copies an image counts twice; they do not predict the class."
    if name == "leak-price":
        return "This finding is about leaves in both sets of the split, as in the first half of this lesson."
    from coverslip.auditing.findings import NAMES

    if name not in NAMES:
        return f"There is no finding {finding_name!r}; the names are printed above, after 'warning:' and 'note:'."
    return f"{finding_name!r} is about something else. Look for one that predicts the class without the leaf."


# %% [markdown] teacher="5.3"
# **Purpose.** A perfect score is a reason to be suspicious. In this data set every disease was photographed on a
# background of its own color, as if each was photographed on another day.
#
# **Misconception.** "More images solve it." Not with the same backgrounds. The solution is in the field: photograph
# every class on every background, and all classes on each day.
# %%
clean = images(None, classes=4, size=64, leaves=30, shots=1, seed=5)
compute_features(clean)
print("test set:            ", score(tricky_head, tricky_test))
print("ordinary backgrounds:", score(tricky_head, clean))
# %% [markdown] slide
# A perfect score is a question, not an answer.
# %% [markdown]
# ## The whole workflow, on a folder
#
# Now we do it as you will do it tomorrow: with a folder that contains a folder for each class, and nothing else. The
# built-in folder has a few problems: copies under other names, and several photographs of each leaf. If you set
# `folder` at the top, it is your own folder.
# %%
dataset = images(folder, classes=4, size=96, leaves=20, shots=3, duplicates=6, group=group)
source = dataset.source / "images" if dataset.built_in else dataset.source
folder_audit = coverslip.audit(source, probes=False)
for finding in folder_audit.findings:
    print(f"{severities[finding.severity]}: {finding.title}\n    {finding.remedy}\n")
print("for example:", *dataset.paths[:3], sep="\n  ")
# %% [markdown] task="5.4"
# **Task 5.4** Tell Coverslip which images belong together. Write a **pattern** (a regular expression) for the path of
# an image; the text that matches its parentheses is the name of the leaf. `\d` is a digit and `+` means "one or more",
# so that `leaf\d+` matches `leaf003`. Every class has a `leaf003`, so the class must be part of the name. The audit
# above proposes a pattern; you may use it or write your own. Write it as `r"..."`: with the `r`, Python does not
# interpret the `\`. According to their names, some leaves were photographed only once: these are the copies, and
# `train` automatically puts them into the set of their originals. (If every image of your own folder shows another
# leaf, patient or slide, the answer is `""`.)
# %% task="5.4"
pattern = ...
check("5.4", pattern, dataset)
# %% solution="5.4"
pattern = r"([a-z_]+leaf\d+)" if dataset.built_in else group
check("5.4", pattern, dataset)
# %% wrong="5.4" says="other classes"
pattern = r"(leaf\d+)"
check("5.4", pattern, dataset)
# %% wrong="5.4" says="whole class"
pattern = r"(\w+leaf)"
check("5.4", pattern, dataset)
# %% wrong="5.4" says="stand alone"
pattern = r"([a-z_]+leaf003)"
check("5.4", pattern, dataset)
# %% wrong="5.4" says="by itself"
pattern = r"(.+)"
check("5.4", pattern, dataset)
# %% wrong="5.4" says="parenthes"
pattern = r"[a-z_]+leaf\d+"
check("5.4", pattern, dataset)
# %% check="5.4"
HINTS = (
    "The built-in names look like tomato_healthy_leaf003_shot1.jpg: everything before _shot is the name of a leaf.",
    r'r"([a-z_]+leaf\d+)" matches small letters and underscores, then leaf and its number.',
)


def grade(pattern: str, dataset):
    """A pattern for the path whose parentheses match the name of a leaf."""
    import coverslip

    source = dataset.source / "images" if dataset.built_in else dataset.source
    if not pattern:
        if dataset.built_in:
            return "Each leaf was photographed three times; with an empty pattern every image counts as a leaf."
        return Passed("Then each image is a group of its own, and the report states that you said so.")
    if dataset.built_in and "(" not in pattern:
        return "It has no parentheses: they mark the part of the path that is the name."
    table = coverslip.scan(source, pattern)
    groups = table.groups(table.rows())
    count, expected = len(set(groups)), len(set(dataset.groups))
    if count == len(groups):
        return "With this pattern each image is a leaf by itself: the text in the parentheses differs for each shot."
    if not dataset.built_in:
        return Passed(f"{len(groups):,} images of {count:,} groups.")
    if count <= len(dataset.names):
        return f"With this pattern there are {count} leaves: a whole class is one leaf. Include the number of the leaf."
    if count < expected:
        return f"With this pattern there are {count} leaves: it joins leaves of other classes with the same number."
    if count != expected:
        return f"With this pattern there are {count} leaves, not {expected}: images that do not match it stand alone."
    return Passed(f"{len(groups)} images of {count} leaves. From now on no leaf is in two sets.")


# %% [markdown] teacher="5.4"
# **Purpose.** No program can know which images belong together. The learners write down their knowledge, so that the
# program can respect it.
#
# **Typical answers.** `(leaf\d+)` joins leaf 3 of all classes: this is not leakage, but it gives groups with two
# labels; the audit warns of it. Some learners are afraid of regular expressions: they may copy the proposal of the
# audit.
# %% [markdown]
# Now train, test and write the report, in one line. If the audit finds an *error*, such as the same image with two
# labels, training stops until you decide. `{"audit_fix": True}` keeps one of several exact copies and excludes images
# with two labels; `{"audit_accept": ("label-conflict",)}` continues, and the report shows this decision permanently. (A
# folder of your own with thousands of images takes a minute or two.)
# %%
if pattern is ...:
    raise coverslip.UserError("the pattern for the groups is missing", "solve task 5.4 first")
decisions = {}  # your decisions about errors of the audit, such as {"audit_fix": True}
run = coverslip.train(source, data_group=pattern, **decisions)
result = run.read_json(run.test_file)
accuracy = result["scores"]["accuracy"]
print("accuracy", format_interval(accuracy))
print(f"{accuracy['images']} test images of {accuracy['groups']} leaves")
print(f"report: {run.report_file}")
# %% [markdown]
# Open the report (in JupyterLab: the file browser on the left, the folder `runs`; click "Trust HTML" if it asks). Read
# it for ten minutes. It contains the score, a description of the files, the findings of the audit and your decisions,
# the split, the scores of each class, the most confident errors as images, the calibration, suspect labels, a list of
# its limitations, a checklist that is filled in as far as possible, and a methods paragraph that you can copy.
# Information that only you have, such as the camera or who made the diagnoses, you can write into a small file,
# `answers.toml` (the checklist explains how); `coverslip report RUN --set answers.toml` adds it to the report.
# %% [markdown] task="5.5"
# **Task 5.5** Write the sentence for your abstract, as a text in quotes. Use the numbers printed above. A reader must
# be able to judge the result without the paper: what was measured, how certain it is, on how many images, *and of how
# many leaves*.
# %% task="5.5"
sentence = ...
check("5.5", sentence, run)
# %% solution="5.5"
sentence = f"On leaves not used in training, the accuracy was {format_interval(accuracy)} (95 % confidence interval; "
sentence += f"{accuracy['images']} images of {accuracy['groups']} leaves)."
check("5.5", sentence, run)
# %% wrong="5.5" says="interval"
check("5.5", f"Our network reaches an accuracy of {accuracy['value']:.3f} on {accuracy['images']} images.", run)
# %% wrong="5.5" says="how many leaves"
text = f"An accuracy of {format_interval(accuracy)} on {accuracy['images']} images."
check("5.5", text, run)
# %% wrong="5.5" says="proves"
text = f"This proves an accuracy of {format_interval(accuracy)}, "
check("5.5", text + f"{accuracy['images']} images, {accuracy['groups']} leaves.", run)
# %% check="5.5"
import re

HINTS = (
    "Use five numbers: value, lower and upper limit, number of test images, number of leaves.",
    "Accuracy 0.xxx [0.xxx, 0.xxx] on N images of M leaves that were not used in training.",
)
TOO_MUCH = ("proves", "proven", "always", "guarantee", "perfect", "outperform", "state-of-the-art", "state of the art")


def grade(sentence: str, run):
    """A sentence with value, confidence interval, number of images and number of leaves."""
    accuracy = run.read_json(run.test_file)["scores"]["accuracy"]
    text = sentence.replace(",", " ").replace("95 %", " ").replace("95%", " ")
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
    fractions = [number / 100 if number > 1 else number for number in numbers]

    def contains(value):
        return value is not None and any(abs(fraction - value) < 0.0051 for fraction in fractions)

    for word in TOO_MUCH:
        if word in sentence.lower():
            return f"Omit {word!r}: a test set gives an estimate, it proves nothing. State what was measured."
    if not contains(accuracy["value"]):
        return f"The accuracy is missing: {accuracy['value']:.3f}."
    if accuracy["low"] is not None and not (contains(accuracy["low"]) and contains(accuracy["high"])):
        return "The confidence interval is missing: give both ends."
    if float(accuracy["images"]) not in numbers:
        return "The number of test images is missing."
    if accuracy["groups"] != accuracy["images"] and float(accuracy["groups"]) not in numbers:
        return "Of how many leaves? It makes a difference whether these images show many leaves or five."
    return Passed("A reader can judge this sentence. Add where the leaves came from, and it is a result.")


# %% [markdown] teacher="5.5"
# **Purpose.** This is the sentence that others will quote. Let several learners read theirs aloud.
#
# **Typical answers.** No interval; "our model achieves"; images but not leaves. The check looks for the five numbers,
# as percent or not, and rejects "proves" and "always".
# %% [markdown]
# ## Are larger images better?
#
# We do a second run on the same folder with images of 96 pixels instead of 224, and compare the two runs: paired, over
# leaves, on the same test set. `coverslip compare RUN RUN` does the same.
# %%
smaller = coverslip.train(source, data_group=pattern, input_size=96, **decisions)
compared = coverslip.compare([run.folder, smaller.folder])
for comparison in compared["result"]["comparisons"]:
    print(comparison["sentence"])
# %% [markdown]
# The test set has now been used twice, and `ledger.json` records this. If you compare twenty settings on the test set
# and report the best one, you report chance: choose with the validation set (`coverslip tune` does), and test once.
#
# ## What a reviewer asks
#
# | question | where you find the answer |
# | --- | --- |
# | What is the independent unit, and is it in one set only? | *Data*: the groups, and the split |
# | How many of them are in the test set? | next to every score |
# | Were there copies or conflicting labels? What did you do about them? | *Findings*, each with its decision |
# | Can the label be predicted from the background, the camera or the file? | the shortcut tests of the audit |
# | How certain are the score and the scores of the classes? | the confidence intervals, over groups |
# | Is a predicted probability of 0.9 correct in 90 % of the cases? | *Calibration* |
# | How often was the test set used? | the ledger |
# | Is the network better than a simple method? | `coverslip compare`, paired |
# | What does the network look at? | `coverslip explain RUN --test`, with the sanity checks of the maps |
# | Can I repeat it? | `experiment.toml`, versions, seeds: `coverslip train RUN/experiment.toml` |
# | Is it valid elsewhere? | **unknown**, unless you test it there: `coverslip evaluate RUN OTHER_FOLDER` |
# %% [markdown] task="5.6"
# **Task 5.6** You are the reviewer. Which of these claims does the first run **not** support? Give their letters as a
# text, such as `"AC"`.
#
# * **A** On leaves of the same kind that were not used in training, the accuracy is the number above, with its
#   interval.
# * **B** The network will be equally good on photographs from other farms.
# * **C** According to the file names, no leaf was in two sets.
# * **D** The network recognizes the lesions.
# * **E** The test set was not used to choose any setting of the first run.
# %% task="5.6"
unsupported = ...
check("5.6", unsupported)
# %% solution="5.6"
unsupported = "BD"
check("5.6", unsupported)
# %% wrong="5.6" says="other farms"
check("5.6", "D")
# %% wrong="5.6" says="lesions"
check("5.6", "B")
# %% wrong="5.6" says="E"
check("5.6", "BDE")
# %% wrong="5.6" says="A:"
check("5.6", "ABD")
# %% check="5.6"
HINTS = (
    "Two of the five go beyond what was measured. Which ones?",
    "Nothing from another farm was tested, and it has not been checked where the network looks.",
)


def grade(unsupported: str):
    """The letters of the claims that the run does not support."""
    letters = {letter for letter in unsupported.upper() if letter.isalpha()}
    if letters - set("ABCDE"):
        return "The claims are A to E; give letters only, such as 'AC'."
    if "A" in letters:
        return "A: this is exactly what was measured, and the claim says for which leaves."
    if "C" in letters:
        return "C: the run knows this from your pattern, and the claim says 'according to the file names'."
    if "E" in letters:
        return "E: the first run used its test set once, at the end. The ledger records this."
    if "B" not in letters:
        return "One is missing: was anything from other farms tested?"
    if "D" not in letters:
        return "One is missing: correct predictions do not show that it looks at the lesions. Remember the backgrounds."
    return Passed("B and D. They may be true, but they were not tested. A reviewer asks this, and now you can, too.")


# %% [markdown] teacher="5.6"
# **Purpose.** At the end of the day the learner is the reviewer.
#
# **Typical answers.** Learners believe D because the score is high; remind them of the second part of the lesson. They
# doubt E because two runs were compared: the settings of the *first* run were not chosen with the test set, but after
# the comparison a choice between the two runs would be.
# %% [markdown] slide
# Say what was measured, on how many leaves, how certain it is, and what was not tested.
# %% [markdown]
# ## Summary
#
# * Know your independent unit, and state it. No group is in two sets; confidence intervals are over groups.
# * Audit before you train. A perfect score is a question.
# * Use one test set once, at the end.
# * Write a sentence with five numbers, and a list of what was not tested.
#
# Tomorrow, on your own folder: `coverslip audit FOLDER --out look`, then `coverslip train FOLDER --group PATTERN`, and
# then read the report. We wish you results that last.
# %% [markdown] teacher
# Learners who brought their own images set `folder` and use them; put the others together with somebody who has images.
# The most valuable minutes are those in which somebody finds a shortcut in their own data: leave time for this. Keep
# the report of `make demo` open on the projector as a fallback.
#
# When results differ: the inflation by leakage depends on the new leaves that were put aside; every split that we tried
# shows the same direction.
