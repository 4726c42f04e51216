"""Every condition is complete: its id, its words, its page."""

from __future__ import annotations

import ast
import inspect
import re
import string
import sys

import pytest

from hfdoctor.conditions.catalogue import CATALOGUE, page
from hfdoctor.conditions.model import Condition
from hfdoctor.conditions.stage_findings import SUMMARY, WAY
from hfdoctor.facts.snapshot import SECTIONS

HEADINGS = [
    "What it is",
    "Why it bites",
    "How the doctor knows",
    "How to fix it",
    "How safe the fix is",
    "References",
]
each = pytest.mark.parametrize("condition", CATALOGUE, ids=lambda c: c.id)


def test_ids_are_unique() -> None:
    ids = [condition.id for condition in CATALOGUE]
    assert len(ids) == len(set(ids))


@each
def test_form(condition: Condition) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", condition.id)
    assert condition.title and not condition.title.endswith(".")
    assert condition.reads and set(condition.reads) <= set(SECTIONS)
    known = {other.id for other in CATALOGUE}
    assert set(condition.explained_by) <= known - {condition.id}


@each
def test_page(condition: Condition) -> None:
    text = page(condition.id)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    sections = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(len(section.strip()) > 20 for section in sections)


@each
def test_words_are_plain_templates(condition: Condition) -> None:
    for key, text in condition.words.items():
        assert text.isascii(), f"{key}: {text}"
        for _, name, spec, _ in string.Formatter().parse(text):
            assert name is None or name.isidentifier(), f"{key}: {text}"
            assert not spec, f"{key}: format in the template"


@each
def test_every_template_is_used(condition: Condition) -> None:
    """Each key of ``words`` appears as a string in the module of its detector (or in one that it imports from)."""
    module = sys.modules[condition.detect.__module__]
    # what a failed stage adds to a condition: stage_findings.py and its test
    used = {"stage_failed", "stage_died", SUMMARY, *(WAY.format(number) for number in range(5))}
    family = [module] + [
        value
        for value in vars(module).values()
        if inspect.ismodule(value) and value.__name__.startswith("hfdoctor.conditions")
    ]
    family += [
        sys.modules[value.__module__]
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__.startswith("hfdoctor.conditions")
    ]
    for source in {m.__name__: m for m in family}.values():
        tree = ast.parse(inspect.getsource(source))
        keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if key}
        used |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
        }
    unused = {
        key
        for key in condition.words
        if key not in used and not any(key.startswith(f"{u}_") or key.endswith(f"_{u}") for u in used if u)
    }
    assert not unused
