"""Every task of every room: its page's stub and solution, the mistakes that it names, and answers of any other kind."""

import ast
import re
from pathlib import Path

import jupytext
import pytest

from fnequiv.exercises import checking
from fnequiv.exercises.checking import check
from fnequiv.exercises.comparing import difference

ROOT = Path(__file__).parents[2]
TASKS = checking.tasks()
ROOM = {task.name: room.__name__.rpartition(".")[2] for room in checking.ROOMS for task in room.TASKS}
NOT_ROOMS = {"__init__", "attention_layers", "checking", "clones", "residual_networks", "comparing", "tasks", "trying"}
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def cells(task):
    """Return the imports of the task's chapter as one text, and the cells that check the task."""
    (page,) = ROOT.glob(f"book/*/{ROOM[task.name]}.md")
    notebook = jupytext.read(page, fmt="md:myst")
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source[0] != "%"]
    imports = [
        ast.unparse(node)
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom) and (getattr(node, "module", "") or "")[:8] != "sklearn"
    ]
    return "\n".join(dict.fromkeys(imports)), [s for s in sources if f'exercises.check("{task.name}"' in s]


def test_the_rooms_are_those_of_the_folder_and_their_names_differ():
    folder = {path.stem for path in ROOT.glob("fnequiv/exercises/*.py")} - NOT_ROOMS
    assert folder == {room.__name__.rpartition(".")[2] for room in checking.ROOMS}
    assert len(TASKS) == sum(len(room.TASKS) for room in checking.ROOMS)


def test_every_check_of_a_page_names_a_task_of_its_room():
    for page in ROOT.glob("book/*/*.md"):
        named = re.findall(r'exercises\.check\(\s*"([^"]+)"', page.read_text(encoding="utf-8"))
        assert {ROOM.get(name, name) for name in named} <= {page.stem}


@every_task
def test_the_page_has_a_stub_and_a_solution_that_stands_alone(task, capsys):
    imports, (stub, solution) = cells(task)
    names = {}
    exec(imports, names)
    exec(stub, names)
    printed = capsys.readouterr().out
    assert printed.startswith("Not yet: ")
    assert printed.endswith(f"It has to return {task.asks}.\n")
    assert re.search(rf'^assert exercises\.check\(\s*"{task.name}", {task.function}\s*\)', solution, re.MULTILINE)
    exec(solution, names)
    assert capsys.readouterr().out.startswith(f"Right: {task.function} agrees with {task.against} in all ")


@every_task
def test_the_cases_are_several_and_the_same_each_time(task):
    first, second = task.cases(), task.cases()
    assert len(first) >= 3
    assert len({len(arguments) for arguments in first} | {len(task.parameters)}) == 1
    for arguments, again in zip(first, second, strict=True):
        assert difference(task.oracle(*arguments), task.oracle(*again), 0.0) is None


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.complaint])
def test_the_oracle_gives_one_of_several_right_answers(name):
    task = TASKS[name]
    assert check(task.name, task.oracle)


@every_task
def test_each_mistake_gets_its_own_message(task):
    assert task.mistakes
    messages = [mistake.message for mistake in task.mistakes]
    assert len(set(messages)) == len(messages)
    for mistake in task.mistakes:
        verdict = check(task.name, mistake.wrong)
        assert not verdict
        assert verdict.text.endswith(f": {mistake.message}.")


def stops(*arguments):
    return arguments[0] / "two"


def leaves(*arguments):
    raise SystemExit


def calls_itself(*arguments):
    return calls_itself(*arguments)


@every_task
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda *arguments: None, "returns nothing. It has to return "),
        (lambda *arguments: ..., "returns nothing. It has to return "),
        (stops, "stopped with TypeError ("),
        (leaves, "stopped with SystemExit, in the line `raise SystemExit`."),
        (calls_itself, "stopped with RecursionError"),
        (lambda *arguments: "forty-two", "gave "),
        (lambda *arguments: float("nan"), "gave "),
        (lambda *arguments: object(), "gave "),
        (lambda: 1, "and yours takes ()."),
        (42, "itself, not 42."),
        (None, "itself, not None."),
    ],
)
def test_any_answer_gets_a_sentence(task, answer, said, capsys):
    verdict = check(task.name, answer)
    assert not verdict
    assert verdict.text.startswith("Not yet: ")
    assert said in verdict.text
    assert verdict.text.endswith(".")
    assert capsys.readouterr().out == verdict.text + "\n"
