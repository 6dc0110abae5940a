"""The mutants of a source: each is one small change of the kind that a slip of the pen makes.

A text is changed, not a syntax tree: clang-format writes every binary operator between two spaces,
so a template's brackets and a pointer's star are not taken for one. What does not compile is left
out by whoever builds it.
"""

import collections
import dataclasses
import re

# What stands between two spaces, and what takes its place.
OPERATORS = {
    "relational": {"<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
                   "==": ["!="], "!=": ["=="]},
    "arithmetic": {"+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"], "+=": ["-="],
                   "-=": ["+="], "*=": ["/="], "/=": ["*="]},
    "bitwise": {"&": ["|"], "|": ["&"], "^": ["&"], "&=": ["|="], "|=": ["&="]},
    "shift": {"<<": [">>"], ">>": ["<<"], "<<=": [">>="], ">>=": ["<<="]},
    "logical": {"&&": ["||"], "||": ["&&"]},
}
KIND_OF = {text: kind for kind, texts in OPERATORS.items() for text in texts}
BINARY = re.compile(r"(?<= )(" + "|".join(re.escape(t) for t in sorted(KIND_OF, key=len, reverse=True))
                    + r")(?=[ \n])")
NUMBER = re.compile(r"(?<![\w.])(0[xX][0-9a-fA-F]+|\d+\.\d+|\d+)([uUlLF]*)(?![\w.])")
CONDITION = re.compile(r"\b(?:if|while) \(")
RETURN = re.compile(r"\breturn ([^;{}]+);")
# A statement of one line that is neither a declaration nor a jump.
STATEMENT = re.compile(r"^ *(?!return|break|continue|using|static_assert|else|delete|throw)"
                       r"(?:[\w:.>\[\]()*-]+ [-+*/%&|^]?=|[\w:.]+(?:->[\w.]+)*\(|\+\+|\w+ <<=|\w+ >>=)"
                       r"[^;]*;$", re.MULTILINE)
COMMENT_OR_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.DOTALL)
NOT_CODE = re.compile(r"^(?:#|using |template|namespace|static_assert|inline namespace)")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """`old` at `start` of the file at `path` becomes `new`."""

    path: str
    line: int
    column: int
    start: int
    kind: str
    old: str
    new: str
    source: str  # the line, without what indents it
    nth: int  # of the changes of its file that are alike in all of the above but their place

    @property
    def change(self) -> str:
        """What becomes what, in one line."""
        return " ".join(f"{self.old} -> {self.new}".split())

    @property
    def key(self) -> str:
        """What tells it from all others, and stays when other lines of its file change."""
        return f"{self.path}|{self.source}|{self.nth}|{self.column}|{self.change}"

    def apply(self, text: str) -> str:
        """The file's text with the change."""
        assert text.startswith(self.old, self.start), self.key
        return text[:self.start] + self.new + text[self.start + len(self.old):]


def masked(text: str) -> str:
    """The text with blanks in place of comments, strings, and lines that compute nothing."""
    text = COMMENT_OR_TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    lines = text.split("\n")
    return "\n".join(" " * len(line) if NOT_CODE.match(line.lstrip()) else line for line in lines)


def closing(code: str, opened: int) -> int:
    """Where the bracket at `opened` closes."""
    depth = 0
    for i in range(opened, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return opened


def nearby_numbers(digits: str, suffix: str) -> list[str]:
    """One more and, where it stays positive, one less."""
    if "." in digits:
        return [f"{float(digits) + 1}{suffix}"]
    value = int(digits, 0)
    return [f"{value + step}{suffix}" for step in (1, -1) if value + step >= 0]


def _changes(code: str) -> list[tuple[int, str, str, str]]:
    """(start, kind, old, new) of every change of masked code."""
    found = []
    for match in BINARY.finditer(code):
        old = match[1]
        found += [(match.start(), KIND_OF[old], old, new) for new in OPERATORS[KIND_OF[old]][old]]
    for match in NUMBER.finditer(code):
        found += [(match.start(), "constant", match[0], new)
                  for new in nearby_numbers(match[1], match[2])]
    for match in CONDITION.finditer(code):
        opened = match.end() - 1
        old = code[opened:closing(code, opened) + 1]
        if "; " not in old:  # of an `if` that declares something
            found.append((opened, "negate", old, f"(!{old})"))
    for match in STATEMENT.finditer(code):
        old = match[0].lstrip()
        found.append((match.end() - len(old), "remove", old, ";"))
    for match in RETURN.finditer(code):
        value = match[1]
        new = {"true": "false", "false": "true"}.get(value, "{}")
        found.append((match.start(), "return", match[0], f"return {new};"))
    return found


def mutants_of(path: str, text: str) -> list[Mutant]:
    """All mutants of a source, in the order of their places."""
    code = masked(text)
    made: list[Mutant] = []
    seen: collections.Counter = collections.Counter()
    for start, kind, old, new in sorted(_changes(code)):
        line_start = text.rfind("\n", 0, start) + 1
        # A comment inside what is replaced has been blanked: keep the source's own words.
        own = text[start:start + len(old)]
        source = text[line_start:text.index("\n", start)].strip()
        alike = (source, start - line_start, own, new)
        seen[alike] += 1
        made.append(Mutant(path, text.count("\n", 0, start) + 1, start - line_start + 1, start, kind,
                           own, new if own == old else new.replace(old, own), source, seen[alike]))
    return made
