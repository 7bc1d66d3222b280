"""MyST Markdown in plain Markdown: what a notebook can show that has none of the book's extensions.

Statements and notes become block quotes, exercises and their solutions headings, options ``<details>``, references the
numbers that the pages show. ``look_up`` tells what a reference says and where it leads; ``notebooks`` makes it from a
built book. A directive, a role, a link or a number without a plain form is a ``ValueError``: nothing disappears in
silence.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STATEMENTS = {"definition", "example", "lemma", "theorem", "proposition", "corollary", "remark", "algorithm"}
NOTES = {"note", "tip", "hint", "important", "warning", "caution", "attention", "seealso"}
OPEN = re.compile(r"^\s*(`{3,}|:{3,})(?:\{([\w:-]+)\})?(.*)$")
OPTION = re.compile(r"^:[\w-]+:")
LABEL = re.compile(r"^:label:\s*(\S+)")
ROLE_OR_CODE = re.compile(r"\{([\w:-]+)\}`([^`]+)`|(?<!`)(`+)(?!`)(?:(?!\n\n)[\s\S])+?(?<!`)\3(?!`)")
KEPT = re.compile("\0(\\d+)\0")
TITLED = re.compile(r"(?s)(.+?)\s*<([^<>]+)>")  # text <target>
DISPLAY = re.compile(r"(?ms)^\$\$\n(.*?)\n\$\$(?: \(([\w-]+)\))?$")
PAGE_LINK = re.compile(r"\]\((?!\w+:)([^()\s#]+)\.md(#[^()\s]*)?\)")
HERE_LINK = re.compile(r"\]\((#[\w-]+)\)")
# A link without words, and addresses beside the page: a notebook is read elsewhere.
LOST_LINK = re.compile(r'(?<!!)\[\]\([^)]*\)|\]\((?!\w+:)[^()]*[./#][^()]*\)|<[^>]* (?:src|href)="(?!\w+:)[^>]*>')

LookUp = Callable[[str, str], tuple[str, str]]
"""Maps a kind ("label", "cite:t", "cite:p") and a target to what the page shows ("": no number) and an address."""


@dataclass(frozen=True)
class Plain:
    """Writes one page in plain Markdown: ``Plain(page, site, look_up, macros)(text)``."""

    page: str
    site: str
    look_up: LookUp
    macros: dict[str, str] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        """Return the text of a MyST page, its front matter and code cells as they are."""
        head = re.match(r"(?s)---\n.*?\n---\n", text)
        start = head.end() if head else 0
        return text[:start] + "\n".join(self.lines(text[start:].split("\n")))

    def lines(self, source: list[str]) -> Iterator[str]:
        """Yield the lines of a text, its directives and roles made plain."""
        prose: list[str] = []
        at = 0
        while at < len(source):
            opening = OPEN.match(source[at])
            if not opening:
                prose.append(source[at])
                at += 1
                continue
            yield from self.prose(prose)
            prose = []
            fence, name, argument = opening.groups()
            closing = re.compile(rf"\s*{fence[0]}{{{len(fence)},}}\s*$")
            end = next((n for n in range(at + 1, len(source)) if closing.match(source[n])), len(source))
            if name is None or name == "code-cell":
                yield from source[at : end + 1]
            else:
                yield from self.directive(name, argument.strip(), source[at + 1 : end])
            at = end + 1
        yield from self.prose(prose)

    def prose(self, lines: list[str]) -> Iterator[str]:
        """Yield a text without directives, its roles, links, numbers of equations and macros made plain."""
        if not lines:
            return
        text = "\n".join(line for line in lines if not re.fullmatch(r"\([\w-]+\)=", line))
        text = DISPLAY.sub(self.equation, text)
        code: list[str] = []

        def role_or_code(found: re.Match[str]) -> str:
            if found[1]:
                return self.role(found[1], found[2])
            code.append(found[0])
            return f"\0{len(code) - 1}\0"

        text = self.links(ROLE_OR_CODE.sub(role_or_code, text))
        for name, meaning in self.macros.items():
            text = re.sub(rf"\\{name}(?![A-Za-z])", meaning.replace("\\", r"\\"), text)
        yield from KEPT.sub(lambda found: code[int(found[1])], text).split("\n")

    def links(self, text: str) -> str:
        """Return a text with the links into the book as links to the site."""
        folder = posixpath.dirname(self.page)

        def on_the_site(found: re.Match[str]) -> str:
            page = posixpath.normpath(posixpath.join(folder, found[1])).lstrip("/")
            return f"]({self.site}{page}.html{found[2] or ''})"

        text = HERE_LINK.sub(rf"]({self.site}{self.page}.html\1)", PAGE_LINK.sub(on_the_site, text))
        if lost := LOST_LINK.search(text):
            raise ValueError(f"{self.page}: book/_ext/plain.py knows no plain form of the link {lost[0]}")
        return text

    def number(self, label: str) -> str:
        """Return what the page shows for a label."""
        shown = self.look_up("label", label)[0]
        if not shown:
            raise ValueError(f"{self.page}: {label} has no number, and a notebook shows no titles for it: write them")
        return shown

    def equation(self, found: re.Match[str]) -> str:
        """Return a displayed formula with its number."""
        formula, label = found.groups()
        number = f" \\tag{{{self.number(label).strip('()')}}}" if label else ""
        return f"$$\n{formula}{number}\n$$"

    def role(self, name: str, content: str) -> str:
        """Return what a role shows, as a link where it leads somewhere."""
        titled = TITLED.fullmatch(content)
        said, target = titled.groups() if titled else ("", content)
        if name in ("prf:ref", "ref", "numref", "eq"):
            address = self.look_up("label", target)[1]
            return f"[{said or self.number(target)}]({address})"
        if name in ("cite", "cite:p", "cite:t"):
            kind = "cite:t" if name == "cite:t" else "cite:p"
            found = [self.look_up(kind, key.strip()) for key in target.split(",")]
            return ", ".join(f"[{text}]({address})" for text, address in found)
        if name == "math":
            return f"${content}$"
        if name in ("doc", "term"):
            return said or target
        if name.startswith("py:"):
            return f"`{said or target.lstrip('~')}`"
        raise ValueError(f"{self.page}: book/_ext/plain.py knows no plain form of the role {{{name}}}`{content}`")

    def directive(self, name: str, argument: str, source: list[str]) -> Iterator[str]:
        """Yield a directive in plain Markdown."""
        start = next((n for n, line in enumerate(source) if not OPTION.match(line)), len(source))
        label = next((found[1] for line in source[:start] if (found := LABEL.match(line))), "")
        body = list(self.lines(source[start:]))
        while body and not body[0]:
            del body[0]
        while body and not body[-1]:
            del body[-1]
        kind = name.removeprefix("prf:")
        (title,) = self.prose([argument])
        if kind in STATEMENTS:
            named = self.number(label) if label else kind.capitalize()
            yield from quoted(f"{named} ({title})" if title else named, body)
        elif kind == "proof" and body:
            yield from proof(body)
        elif name == "admonition" or name in NOTES:
            heading = title if name == "admonition" else name.capitalize()
            yield from (f"**{heading}.**", "", *body) if "<details>" in body else quoted(heading, body)
        elif name == "dropdown":
            summary = re.sub(r"`([^`]+)`", r"<code>\1</code>", title)
            yield from ("<details>", f"<summary>{summary}</summary>", "", *body, "", "</details>")
        elif name == "exercise":
            number = self.number(label)
            yield from ("+++", "", f"### {number}: {title}" if title else f"### {number}", "", *body)
        elif name in ("solution", "solution-start"):
            number = self.number(argument)
            yield from ("+++", "", f"#### Solution to {number}", *(["", *body] if body else []))
        elif name == "solution-end":
            yield from ("+++", "")
        else:
            raise ValueError(f"{self.page}: book/_ext/plain.py knows no plain form of the directive {{{name}}}")


def one_line_formulas(body: list[str]) -> list[str]:
    """Return the text with each displayed formula on one line, as block quotes need it."""
    text = re.sub(r"(?ms)^\$\$\n(.*?)\n\$\$$", lambda found: f"$${' '.join(found[1].split())}$$", "\n".join(body))
    return text.split("\n")


def quoted(title: str, body: list[str]) -> Iterator[str]:
    """Yield a block quote under a bold title."""
    yield from (f"> **{title}.**", ">")
    yield from (f"> {line}".rstrip() for line in one_line_formulas(body))


def proof(body: list[str]) -> Iterator[str]:
    """Yield a proof, from its first word to its box."""
    *rest, last = [f"*Proof.* {body[0]}", *body[1:]]
    yield from rest
    yield from (last, "", "∎") if last == "$$" else (f"{last} ∎",)
