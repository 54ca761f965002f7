"""Makes expressions.json and templates.json with Python's jinja2, the oracle of this package.

    python make.py FOLDER

FOLDER holds published chat templates (*.jinja), like models/cache/vocabularies/templates. templates.json keeps digests of what they render, not their text.
Needs jinja2 3.1.
"""
import copy, datetime, glob, hashlib, json, os, sys

from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """The tag with which transformers marks what the assistant says."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
)
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2024, 7, 26).strftime(f)


def turns(*parts):
    return [{"role": parts[i], "content": parts[i + 1]} for i in range(0, len(parts), 2)]


CHATS = [
    turns("user", "Hi"),
    turns("system", "You are terse.", "user", "Hello <|im_end|>\n there "),
    turns("user", "a", "assistant", " b ", "user", "c"),
    turns("system", "s", "user", "q1", "assistant", "<think>\nhm\n</think>\n\nanswer", "user", "q2 /no_think"),
    turns("user", "é中🦙 \u00a0x", "assistant", "", "user", "  "),
    turns("assistant", "first"),
    turns("user", "a", "user", "b"),
    turns("system", "only"),
    turns("user", "x", "assistant", "y"),
    turns("user", "a", "system", "mid", "assistant", "[TOOL_CALLS]", "user", "</s><s>[INST]"),
]


def render(source, chat):
    variables = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
    try:
        out = env.from_string(source).render(messages=copy.deepcopy(chat), add_generation_prompt=True, **variables)
        return out, None
    except Raised as e:
        return None, "raised " + str(e)
    except Exception:
        return None, "error"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "sources.json"), encoding="utf-8") as f:
        sources = json.load(f)
    chat = turns("user", " hé\"l'lo\n</t>\n z ", "assistant", "yo")
    cases = []
    for source in sources:
        out, error = render(source, chat)
        cases.append({"source": source, "want": out, "error": error})
    with open(os.path.join(here, "expressions.json"), "w", encoding="utf-8") as f:
        json.dump({"chat": chat, "cases": cases}, f, ensure_ascii=False, indent=1)
        f.write("\n")
    templates = []
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.jinja"))):
        with open(path, encoding="utf-8", newline="") as f:
            source = f.read()
        results = []
        for chat in CHATS:
            out, error = render(source, chat)
            results.append(error if error else hashlib.sha256(out.encode()).hexdigest())
        digest = hashlib.sha256(source.encode()).hexdigest()
        templates.append({"name": os.path.basename(path), "sha256": digest, "results": results})
    with open(os.path.join(here, "templates.json"), "w", encoding="utf-8") as f:
        json.dump({"chats": CHATS, "templates": templates}, f, ensure_ascii=False, indent=1)
        f.write("\n")


main()
