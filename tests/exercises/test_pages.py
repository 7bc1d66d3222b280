"""The exercises and the multiple-choice questions of the chapters keep their form."""

import re
from pathlib import Path

import pytest

from fnequiv.exercises import checking

ROOT = Path(__file__).parents[2]
QUESTION = re.compile(r"^:::::\{admonition\} Check yourself\n([\s\S]*?)^:::::$", re.MULTILINE)
OPTION = re.compile(r"^::::\{dropdown\} (\(.\)) .+\n\n(Yes|No)\. ([\s\S]+?)\n::::$", re.MULTILINE)
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in ROOT.glob("book/*/*.md")}
ROOMS = {room.__name__.rpartition(".")[2]: room for room in checking.ROOMS}
WITH_QUESTIONS = [name for name, text in PAGES.items() if "{admonition} Check yourself" in text]


@pytest.mark.parametrize("name", ROOMS)
def test_a_chapter_has_a_good_number_of_exercises_and_questions(name):
    assert 5 <= PAGES[name].count("\n```{exercise} ") <= 8
    assert 2 <= len(QUESTION.findall(PAGES[name])) <= 3
    assert len(ROOMS[name].TASKS) >= 2


@pytest.mark.parametrize("name", WITH_QUESTIONS)
def test_every_option_is_explained_and_one_is_right(name):
    questions = QUESTION.findall(PAGES[name])
    assert len(questions) == PAGES[name].count("{admonition} Check yourself")
    for question in questions:
        options = OPTION.findall(question)
        assert len(options) == question.count("{dropdown}")
        assert 3 <= len(options) <= 5
        assert [letter for letter, _, _ in options] == [f"({letter})" for letter in "abcde"[: len(options)]]
        assert [said for _, said, _ in options].count("Yes") == 1
        assert all(len(reason.split()) >= 8 for _, _, reason in options)


def test_the_right_option_is_not_always_the_same():
    right = [
        letter
        for name in WITH_QUESTIONS
        for question in QUESTION.findall(PAGES[name])
        for letter, said, _ in OPTION.findall(question)
        if said == "Yes"
    ]
    assert max(map(right.count, right)) <= 0.7 * len(right)
