"""The words of messages, docstrings, comments and documents: recurring phrases that a native writer would not use.

Whitespace is collapsed before the search, so that a phrase is found across a line break. The test of the names of
variables is below.
"""

import ast
import bisect
import io
import itertools
import re
import tokenize

import pytest

from tests.shared_data import REPOSITORY

_THINGS = "line|image|prediction|cell|number|row|file|crop|point|step|record"
_UNITS = (
    "line|image|answer|class|cell|object|round|step|set|call|epoch|file|side|box|list|entry|run|verb|word|second|part|"
    "shard|point|task|sample"
)

# regex, what to write instead, an example that it finds, the same example corrected
PHRASES = [
    (r"\bway out\b", "the fix", "the message names a way out", "the message names the fix"),
    (r"\b([Uu]n)?[Hh]onour", "support, apply", "a field that is not honoured", "a field that is not supported"),
    (
        r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|less\b|greater\b|larger\b)",
        "is not a ...",
        "this is no folder",
        "this is not a folder; there is no folder",
    ),
    (r"\bgo(es|ing)? on\b", "continue, resume", "training goes on", "training continues"),
    (r"\bwent on\b", "continued, resumed", "training went on", "training continued"),
    (r"\bcannot be (meant|had|told|understood)\b", "is invalid", "flags that cannot be meant", "invalid flags"),
    (
        rf"\b(one|a) ({_THINGS}|answer|vector|dict|folder|name|byte|bit|page) an? ({_UNITS})\b",
        "one ... per ...",
        "one line an image",
        "one line per image",
    ),
    (r"\bone a (line|step|round|file|image)\b", "one per ...", "flags, one a line", "flags, one per line"),
    (
        (
            rf"\b(({_THINGS})s|boxes|proposals|examples|seconds|bits|bytes) an? ({_UNITS})\b"
            r"(?! (reads|has|sees|of training)\b)"
        ),
        "... per ...",
        "8 images a step",
        "8 images per step",
    ),
    (
        r"\b(is|are|was|were) (there|labelled|finished|known|trained) already\b",
        "already exists, is already ...",
        "the folder is there already",
        "the folder already exists",
    ),
    (r"\b(is|are|was|were) not there\b", "does not exist, is missing", "it is not there", "it does not exist"),
    (r"\bnot there any ?more\b|\b(is|are) gone\b", "no longer exists", "the file is gone", "the file is missing"),
    (r"\b[Mm]end(s|ed|ing)?\b", "correct, repair, fix", "a mended copy", "a corrected copy"),
    (r"\bin the end\b", "at the end, finally", "shown in the end", "shown at the end"),
    (r"\banew\b", "again, re-", "encoded anew", "encoded again"),
    (r"\bwhole or not at all\b", "atomically", "written whole or not at all", "written atomically"),
    (r"\b(is|are|was|were|be) passed over\b", "is ignored, is skipped", "blanks are passed over", "blanks are skipped"),
    (r"\bh(e|o)ld(s)? against\b", "compare with", "labels held against a model", "labels compared with a model"),
    (r"\bheld something\b|\bholds? (something|nothing)\b", "is (not) empty", "it holds nothing", "it is empty"),
    (r"\b(does|do) not go with\b", "cannot be combined with", "-a does not go with -b", "-a and -b cannot be combined"),
    (r"\bis known of\b|\bare known of\b", "known about", "what is known of it", "what is known about it"),
    (r"\b(are|is|were|was) met\b|\bclasses met\b", "occur", "classes that are met", "classes that occur"),
    (r"\bnobody (says|said|knows)\b", "is unknown", "nobody says which", "it is unknown which"),
    (r"\bof whatever\b", "of any", "boxes of whatever class", "boxes of any class"),
    (
        r"\bof another (form|length|size|version|shape)\b",
        "of a different ...",
        "of another size",
        "of a different size",
    ),
    (r"\bwhat came of\b", "the result of", "what came of it", "its result"),
    (r"\bends? well\b", "ends without an error, succeeds", "when it ends well", "when it succeeds"),
    (r"\b(is|are|was|were) asked for\b", "is requested", "if pages are asked for", "if pages are requested"),
    (r"\bhas to be asked for\b", "must be requested", "it has to be asked for", "it must be requested"),
    (r"\blook(s|ed)? whether\b", "check whether", "look whether it fits", "check whether it fits"),
    (r"\bwith its folders\b", "with its subfolders", "searched with its folders", "searched with its subfolders"),
    (
        r"\bthere is no such (file|folder|image|label map|model|verb|flag)\b",
        "no such ...",
        "there is no such file",
        "no such file",
    ),
    (r"\bas far as they agree\b|\bfrom this score on\b", "with at least", "from this score on", "at least this score"),
    (r"\bto the (bit|letter)\b", "bit for bit", "equal to the bit", "equal bit for bit"),
    (r"\bwithout a word\b", "silently, without a message", "ignored without a word", "silently ignored"),
    (
        r"\bleaves? it to (the program|this function)\b",
        "chooses automatically",
        "0 leaves it to the program",
        "0: auto",
    ),
    (r"\bone and the same\b", "the same", "one and the same size", "the same size"),
    (r"\b(longer|closer|earlier) look\b", "scan, inspection", "an earlier look", "a previous scan"),
    (r"\bleast (score|overlap)\b", "minimum ...", "the least score", "the minimum score"),
    (r"\b[Ff]lags that return\b", "common flags", "Flags that return", "Common flags"),
    (r"\b(lies?|lay|lying) (in|beside|among|apart|with)\b", "is in, is next to", "it lies in data", "it is in data"),
    (r"\b(stands?|stood) (in|beside|under|once|elsewhere)\b", "is in, is next to", "it stands in it", "it is in it"),
    (r"\bmust (not )?be there\b", "must (not) exist", "it must not be there", "it must not exist"),
    (r"\bby their places\b|\bat the places\b", "by index", "by their places", "by their indices"),
    (r"\bwarned of\b", "warned about", "only warned of", "only warned about"),
    (r"\bcomes? twice\b", "occurs twice", "the name comes twice", "the name occurs twice"),
    (r"\bshall\b", "should, must", "it shall stop", "it should stop"),
]

# Names of variables that say nothing. Fields, attributes and keyword arguments of public objects keep theirs.
VAGUE_NAMES = {"one", "found", "what", "place"}
# {(file, name): reason}
EXCEPTIONS = {("tfodhelper/errors.py", "what"): "sets the public attribute of this name"}


_PATTERNS = [(re.compile(regex), instead) for regex, instead, _, _ in PHRASES]


def find_phrases(text):
    """Finds the phrases of the table in a text.

    Returns:
      A list of (number of the line in the text, from 0; words; what to write instead).
    """
    words = [(match.group(), match.start()) for match in re.finditer(r"\S+", text)]
    collapsed = " ".join(word for word, _ in words)
    starts = list(itertools.accumulate((len(word) + 1 for word, _ in words), initial=0))
    return [
        (text.count("\n", 0, words[bisect.bisect_right(starts, match.start()) - 1][1]), match.group(), instead)
        for pattern, instead in _PATTERNS
        for match in pattern.finditer(collapsed)
    ]


def texts_of_python(source):
    """Yields (line, text) of the comments and strings of a module; neighbouring ones are joined.

    Of a string with fields (f"...") the fields are left out.
    """
    yield from _comments(source)
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)


def _comments(source):
    first, lines = 0, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != first + len(lines):
            yield first, "\n".join(lines)
            lines = []
        if not lines:
            first = token.start[0]
        lines.append(token.string.lstrip("#"))
    if lines:
        yield first, "\n".join(lines)


def texts_of(path):
    """Yields (line, text) of everything in a file that people read."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from texts_of_python(text)
    else:
        yield 1, re.sub(r"^([ \t]*)#", r"\1 ", text, flags=re.MULTILINE)


def written_files():
    """The files whose words are checked."""
    files = [*(REPOSITORY / "tfodhelper").rglob("*.py"), *(REPOSITORY / "tfodhelper").rglob("*.html")]
    files += [
        path for path in (REPOSITORY / "scripts").rglob("*") if path.is_file() and path.suffix in ("", ".py", ".sh")
    ]
    files += [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    return sorted(files)


def problems_in(path):
    """One line for each phrase that is found in a file."""
    return [
        f'{path.relative_to(REPOSITORY)}:{first + line}: "{words}": write "{instead}"'
        for first, text in texts_of(path)
        for line, words, instead in find_phrases(text)
    ]


@pytest.mark.parametrize("regex, instead, example, correction", PHRASES, ids=[row[2] for row in PHRASES])
def test_each_phrase_finds_its_example_and_not_the_correction(regex, instead, example, correction):
    assert instead
    for text in (example, example.replace(" ", "\n    ")):
        assert [row[2] for row in find_phrases(text)] == [instead]
    assert find_phrases(correction) == []


def test_phrases_are_found_in_strings_comments_and_across_lines():
    source = (
        '"""The file is\ngone."""\n'
        "# a line that goes\n"
        "# on\n"
        'x = f"the {1} is no file"\n'
        'y = "a way " "out"\n'
        "goes_on = anew = 1  # names are not checked here\n"
    )
    found = {words for _, text in texts_of_python(source) for _, words, _ in find_phrases(text)}
    assert found == {"is gone", "goes on", "is no ", "way out"}


def test_a_problem_names_file_line_words_and_what_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_words.REPOSITORY", tmp_path)
    (tmp_path / "x.py").write_text('x = 1\n\n"""First.\n\nThe file is\ngone."""\n')
    assert problems_in(tmp_path / "x.py") == ['x.py:5: "is gone": write "no longer exists"']


def test_all_files_keep_to_the_words():
    files = written_files()
    assert len(files) > 200 and REPOSITORY / "README.md" in files and REPOSITORY / "scripts/demo" in files
    assert [problem for path in files for problem in problems_in(path)] == []


def vague_names(source):
    """Yields (line, name) of variables, loop variables and arguments with a name that says nothing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in VAGUE_NAMES:
            yield node.lineno, node.arg


def _fields(source):
    """Lines of the fields of classes: their names are public and stay."""
    return {
        node.lineno
        for parent in ast.walk(ast.parse(source))
        if isinstance(parent, ast.ClassDef)
        for node in parent.body
        if isinstance(node, (ast.AnnAssign, ast.Assign))
    }


@pytest.mark.parametrize(
    "source, names",
    [
        ("def f(one): pass", ["one"]),
        ("lambda what: 1", ["what"]),
        ("for found in x: pass", ["found"]),
        ("[place for place in x]", ["place"]),
        ("with x as found: pass", ["found"]),
        ("a, *one = x", ["one"]),
        ("if (found := 1): pass", ["found"]),
        ("class A:\n    found: int\n    what = 1", []),
        ("x.found = f(what=1)", []),
    ],
)
def test_vague_names_are_found(source, names):
    fields = _fields(source)
    assert [name for line, name in vague_names(source) if line not in fields] == names


def test_variables_are_named_after_what_they_hold():
    problems = []
    for path in sorted([*(REPOSITORY / "tfodhelper").rglob("*.py"), *(REPOSITORY / "scripts").glob("*.py")]):
        source = path.read_text(encoding="utf-8")
        fields = _fields(source)
        where = path.relative_to(REPOSITORY).as_posix()
        problems += [(where, name, line) for line, name in vague_names(source) if line not in fields]
    assert [problem for problem in problems if problem[:2] not in EXCEPTIONS] == []
    assert {problem[:2] for problem in problems} == set(EXCEPTIONS)  # none is left over


# A number in front of a plural would give "1 images". {file: reason}
COUNTED = re.compile(r"^ (images|boxes|files|classes|records|findings|names|entries|rows|drafts|objects|models)\b")
COUNTED_EXCEPTIONS = {
    "tfodhelper/formats/coco.py": "only called for several",
    "tfodhelper/plain_text.py": "below spelling",
}


def find_bare_counts(source):
    """Yields the words after a length in f-strings, where `spelling.count` would make number and noun agree."""
    for node in ast.walk(ast.parse(source)):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, text in itertools.pairwise(parts):
            is_length = isinstance(value, ast.FormattedValue) and ast.unparse(value.value).startswith("len(")
            if is_length and isinstance(text, ast.Constant) and (match := COUNTED.match(text.value)):
                yield match[1]


def test_bare_counts_are_found():
    assert list(find_bare_counts('f"{len(a)} images"')) == ["images"]
    assert not list(find_bare_counts('f"{a} of {len(a)}: {b} images"'))


def test_numbers_agree_with_their_nouns():
    for path in sorted((REPOSITORY / "tfodhelper").rglob("*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        if name not in COUNTED_EXCEPTIONS:
            source = path.read_text(encoding="utf-8")
            assert not list(find_bare_counts(source)), f"{name}: use spelling.count"
            assert not re.search(r"[a-z]\((s|es)\) ", source), f"{name}: use spelling.count"
