"""The project agrees with itself: versions, declared imports, addresses, and the book's lists of files."""

import ast
import doctest
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions
from pathlib import Path

import jupytext
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import fnequiv

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ADDRESS = PROJECT["project"]["urls"]["Repository"]
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
CONDA_ONLY = {"python", "pip", "jupyterlab"}  # Binder's and conda's ways to run a chapter, not the package's needs
# A CUDA build's own packages follow from PyTorch's version; `pip freeze` leaves out pip's own tools.
UNPINNED = re.compile(r"nvidia|cuda|triton|setuptools$|wheel$")


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def tracked(*patterns):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def requirements(*extras):
    """Return the requirements of the package with some extras, its own extras resolved."""
    found = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, PROJECT["project"]["optional-dependencies"][extra]):
            found += requirements(*requirement.extras) if requirement.name == "fnequiv" else [requirement]
    return found


def names(*extras):
    return {canonicalize_name(requirement.name) for requirement in requirements(*extras)}


def pins():
    lines = [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]
    pinned = dict(re.fullmatch(r"([\w.-]+)==(\S+)", line).groups() for line in lines)
    return {canonicalize_name(name): Version(version) for name, version in pinned.items()}


def conda_pins():
    listed = yaml.safe_load(text("environment.yml"))["dependencies"]
    pairs = [re.fullmatch(r"([\w-]+)(?:=([\d.]+))?", entry).groups() for entry in listed]
    return {CONDA_NAMES.get(name, name): version for name, version in pairs}


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere():
    assert yaml.safe_load(text("CITATION.cff"))["version"] == fnequiv.__version__
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[1] == fnequiv.__version__
    assert importlib.metadata.version("fnequiv") == fnequiv.__version__


def bibtex(page):
    """Return the entries of a page's BibTeX, each a dict of its fields with plain values."""
    blocks = re.findall(r"```bibtex\n@(.*?)\n\}\n```", text(page), re.DOTALL)
    return [dict(re.findall(r"^\s+(\w+)\s*= \{(.+?)\},?$", block, re.MULTILINE)) for block in blocks]


def test_the_page_on_citing_agrees_with_the_citation_file():
    cff = yaml.safe_load(text("CITATION.cff"))
    source = cff["references"][0]
    paper, software = bibtex("book/cite.md")
    (author,) = source["authors"]
    assert paper["author"] == f"{author['family-names']}, {author['given-names']}"
    assert paper["pages"] == f"{source['start']}--{source['end']}"
    assert paper["booktitle"] == source["collection-title"]
    assert paper["publisher"] == source["publisher"]["name"]
    assert f"arXiv:{paper['eprint']}" == source["identifiers"][0]["value"]
    for key in ("title", "url", "volume", "year"):
        assert paper[key] == str(source[key])
    assert software["author"] == f"{{{cff['authors'][0]['name']}}}"
    assert software["title"] == cff["title"]
    assert software["version"] == cff["version"]
    assert software["year"] == str(cff["date-released"])[:4]
    assert software["url"] == cff["repository-code"]
    assert software["license"] == " and ".join(cff["license"])
    (known,) = re.findall(r"@inproceedings\{Shen2024,\n(.*?)\n\}", text("book/references.bib"), re.DOTALL)
    for key in ("title", "pages", "year", "url"):
        assert re.search(rf"^\s+{key}\s*= \{{{re.escape(paper[key])}\}}", known, re.MULTILINE)


def test_every_requirement_has_a_pin_in_its_range():
    for requirement in requirements("dev", "bench", "binder"):
        pin = pins().get(canonicalize_name(requirement.name))
        assert pin, f"{requirement.name} has no pin in constraints.txt: run make pins"
        assert pin in requirement.specifier, (
            f"constraints.txt has {requirement.name} {pin}, not {requirement.specifier}"
        )


def test_constraints_pin_everything_that_the_extras_bring_in():
    missing, seen, queue = set(), set(), list(requirements("dev", "bench", "binder"))
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras)
        if not applies or (name, *extras) in seen or UNPINNED.match(name):
            continue
        seen.add((name, *extras))
        missing |= {name} - pins().keys()
        try:
            needs = importlib.metadata.requires(name) or []
        except PackageNotFoundError:
            continue  # an optional part that pip did not install here
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                need.marker = None
                queue.append(need)
    assert not missing, f"constraints.txt lacks {sorted(missing)}: run make pins"


def test_what_the_book_extends_from_within_has_an_upper_bound():
    """`measuring` replaces parts of these that they do not document: a new version may have other parts."""
    bounds = {requirement.name: str(requirement.specifier) for requirement in requirements("book")}
    assert all("<" in bounds[name] for name in ("myst-nb", "jupyter-client"))


def test_binder_installs_what_is_pinned():
    (command,) = re.findall(r"pip install .*", text("postBuild"))
    assert "-c constraints.txt" in command
    assert re.findall(r'"(.*?)"', command) == [".[binder]"]


def test_the_conda_environment_agrees_with_the_constraints():
    for name, version in conda_pins().items():
        if name in CONDA_ONLY:
            continue
        assert name in names("book"), f"environment.yml lists {name}, which pyproject.toml does not"
        assert pins()[name] in SpecifierSet(f"=={version}.*"), f"environment.yml has {name} {version}"
    assert pins()["torch"] == Version(conda_pins()["torch"]), "another PyTorch in conda would be replaced by pip's"


def test_python_versions_agree():
    least = re.fullmatch(r">=(3\.\d+)", PROJECT["project"]["requires-python"])[1]
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + least.replace(".", "")
    assert PROJECT["tool"]["mypy"]["python_version"] == least
    assert f"Python >= {least}" in text("README.md")
    assert f"Python >= {least}" in text("CONTRIBUTING.md")
    assert f"sys.version_info < ({least.replace('.', ', ')})" in text("Makefile")
    runs = {
        workflow: [
            a or b for a, b in re.findall(r'python:(3\.\d+)|"(3\.\d+)"', text(f".github/workflows/{workflow}.yml"))
        ]
        for workflow in ("ci", "weekly")
    }
    for version in [conda_pins()["python"], *runs["ci"], *runs["weekly"]]:
        assert Version(version) in SpecifierSet(f">={least}")
    # A newer Python than that of ci may have no PyTorch yet.
    assert max(map(Version, runs["weekly"])) == max(map(Version, runs["ci"]))


def test_no_failure_of_a_workflow_is_hidden():
    for name in tracked(".github/workflows/*.yml"):
        for job in yaml.safe_load(text(name))["jobs"].values():
            assert not any("continue-on-error" in place for place in (job, *job["steps"]))


# --- imports --------------------------------------------------------------------------------------------------------


def imported(source):
    """Return the top-level names that Python source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def cells(page):
    if "kernelspec:" not in text(page):
        return ""
    code = (cell.source for cell in jupytext.read(ROOT / page, fmt="md:myst").cells if cell.cell_type == "code")
    return "\n".join(line for source in code for line in source.splitlines() if not line.startswith("%"))


@pytest.mark.parametrize(
    ("patterns", "extras"),
    [
        (["fnequiv/*.py", "fnequiv/*.pyi"], []),
        (["book/*.md", "book/*.py"], ["book"]),
        (["book/[0-9]_*/*.md", "book/appendix/*.md"], ["notebooks"]),
        (["tests/*.py"], ["test"]),
        (["benchmarks/*.py"], ["bench"]),
    ],
)
def test_every_import_is_declared(patterns, extras):
    provided = {module: {canonicalize_name(d) for d in ds} for module, ds in packages_distributions().items()}
    own = {"fnequiv", "benchmarks"}
    files = tracked(*patterns)
    assert files
    for name in files:
        source = cells(name) if name.endswith(".md") else text(name)
        beside = {path.stem for path in (ROOT / name).parent.glob("*.py")} if "fnequiv/" not in name else set()
        for module in set(imported(source)) - sys.stdlib_module_names - own - beside:
            declared = provided.get(module, {module}) & names(*extras)
            assert declared, f"{name} imports {module}, which pyproject.toml does not declare for it ({extras})"


def test_the_top_level_is_light_and_every_name_on_it_resolves():
    light = "import fnequiv, sys; sys.exit(sum(m in sys.modules for m in ('torch', 'matplotlib', 'ipywidgets')))"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0
    for name in fnequiv.__all__:
        assert getattr(fnequiv, name) is not None


@pytest.mark.parametrize("room", ["validation", "activations", "symmetry", "complexity", "exercises"])
def test_rooms_without_torch(room):
    code = (
        f"import pkgutil, importlib, sys, fnequiv.{room} as room\n"
        "for m in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "    importlib.import_module(m.name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- addresses ------------------------------------------------------------------------------------------------------


def test_the_repository_has_one_address():
    owner, repository = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", ADDRESS).groups()
    here = f"{owner}/{repository}"
    assert yaml.safe_load(text("CITATION.cff"))["repository-code"] == ADDRESS
    assert yaml.safe_load(text("_config.yml"))["repository"]["url"] == ADDRESS
    for mention in (f"git clone {ADDRESS} ", f"mybinder.org/v2/gh/{here}/", f"https://{owner}.github.io/{repository}/"):
        assert mention in text("README.md")
    pattern = re.compile(r"(?:github\.com|/gh)/([\w.-]+/[\w-]+)|//([\w-]+)\.github\.io/([\w-]+)")
    for name in tracked("*.md", "*.yml", "*.toml", "*.cff", "*.py", "*.bib", "*.json", "Makefile", "postBuild", ".ci"):
        for hub, pages_owner, pages_name in pattern.findall(text(name)):
            address = hub or f"{pages_owner}/{pages_name}"
            if address.split("/")[1] in ("fnequiv", repository):
                assert address == here, f"{name} mentions {address}, the repository is {here}"


def test_files_of_the_repository_that_a_page_links_are_there():
    linked = [name for page in tracked("*.md") for name in re.findall(rf"{ADDRESS}/blob/main/([\w./-]+)", text(page))]
    assert "CONTRIBUTING.md" in linked
    assert [name for name in linked if not (ROOT / name).exists()] == []


# --- the book -------------------------------------------------------------------------------------------------------


def toc_files(entry):
    if isinstance(entry, list):
        for part in entry:
            yield from toc_files(part)
    elif isinstance(entry, dict):
        yield from (entry[key] for key in ("root", "file") if key in entry)
        for value in entry.values():
            yield from toc_files(value)


def test_the_table_of_contents_lists_every_page_once():
    listed = [f"{name}.md" for name in toc_files(yaml.safe_load(text("_toc.yml")))]
    assert sorted(listed) == sorted(tracked("book/*.md"))


def test_every_module_has_its_api_page():
    documented = re.findall(r"automodule:: (\S+)", "".join(text(page) for page in tracked("book/reference/*.md")))
    assert len(documented) == len(set(documented))
    files = [Path(name).with_suffix("") for name in tracked("fnequiv/*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in files}
    assert not set(documented) - modules
    for module in modules - set(documented):
        package = importlib.import_module(module.rpartition(".")[0])
        covered = package.__name__ in documented and "__all__" in vars(package) and package is not fnequiv
        only_a_folder = any(name.startswith(module + ".") for name in documented)
        assert covered or only_a_folder, f"{module} has no page: add an automodule to book/reference/"


@pytest.mark.parametrize("page", ["README.md", "book/reference/api.md"])
def test_the_example_of_the_first_page_runs(page):
    failed, tried = doctest.testfile(str(ROOT / page), module_relative=False)
    assert tried
    assert not failed
