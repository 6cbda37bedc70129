"""Source code: the taggers of Dolma's extra `code`, and the composition of code and prose.

`prepare` trains a small model that stands for the one of `code_composition`: in one thread with a
fixed seed, so that it comes out the same again on a machine of the same kind. Forms of tokens are
written in two pieces, so that nobody takes these for somebody's.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

TAGGERS = [
    "code_secrets_v1",
    "code_copyright_comments_v1",
    "code_redpajama_taggers_v1",
    "code_starcoder_taggers_v1",
    "code_starcoder_taggers_v2",
    "code_composition",
]
# A file run by runpy has no other way to its place.
MODEL = Path(__file__).parents[1] / "dolma_models" / "composition.bin"

DIGEST = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
BASE64 = "q7Zk2LxV9bTnR4wYcJ8mHdF3sPgA6uEo"
CAPITALS = "QX7ZK2LVB9TNR4WY"
ALNUM = "q7zk2lxv9btnr4wycj8mhdf3spga6ueo"
LETTERS = "qwertyuiopasdfghjklzxcvb"


def token(start: str, rest: str) -> list[tuple[str, int]]:
    """A line with a token of a known form."""
    return [("value: ", 1), (start, 1), (rest, 1), ("\n", 1)]


TOKENS = {
    "artifactory": token("AK", "C" + BASE64[:12]) + token(' "AP', "A" + BASE64[:9] + '"'),
    "artifactory, not": [("xAKC" + BASE64[:12] + "\nAKC" + BASE64[:9] + "\nAP_" + BASE64, 1)],
    "aws": [*token("AK", "IA" + CAPITALS), ("aws", 1), (f" my_key is '{DIGEST}0/+a0/+b'", 1)],
    "aws, by quote": [("AWS_SECRET_pass", 1), (f"word = {{}}'{ALNUM}ABCDEFGH\" #", 1)],
    "azure": [("Account", 1), ("Key=" + "Az0+/=xY" * 11 + "\n", 1)],
    "basic auth": [("https", 1), ("://user:hunter2@example.com and x://a/b:c@d\n", 2)],
    "cloudant": [("cl_pass", 1), (f"word:  '{DIGEST * 2}'\ncloudant-key => {LETTERS}\n", 1),
    (f"https://abc:{LETTERS}", 1), ("@abc.cloudant.com", 1)],
    "discord": token("M", BASE64[:23] + ".Xa-_0b." + BASE64[:27]),
    "github": token("ghp_", BASE64 + "Ab01") + token("ghx_", BASE64 + "Ab01"),
    "ibm": [("ibm_cloud_iam_api_key", 1), (f"    {BASE64}_-aB01234567\n", 1),
    ("[secret-access-key]", 1), (f" := {DIGEST}{DIGEST[:16]}", 1)],
    "ibm, no name": [(f"monkey = {BASE64}_-aB01234567\n", 1)],
    "jwt": token("eyJhbGciOiJIUzI1NiJ9", ".eyJhIjoxfQ.c2ln.x eyJx.y eyJhIjoxfQ.eyJhIjoxfQ."),
    "mailchimp": token(DIGEST, "-us12") + token(DIGEST, "-ux1"),
    "npm": [("//registry.example.com/:_auth", 1), (f"Token=npm_{ALNUM}  x\n", 1),
    ("x//y/:_auth", 1), ("Token= 01234567-89ab-cdef-0123-456789abcdef y\n///:_auth", 1),
    ("Token=npm_ab", 1)],
    "private keys": [("-----BEGIN RSA", 1), (" PRIVATE KEY-----\n", 1), ("-----BEGIN PGP", 1),
    (" PRIVATE KEY BLOCK-----\nPuTTY-User-Key", 1), ("-File-2: x\n", 1)],
    "sendgrid": token("SG.", BASE64[:22] + "." + BASE64 + "01234567-_a"),
    "slack": token("xoxb-", "12-34-ab") + token("XOXP-", "٣-٣-ab")
    + [("https://hooks.sl", 1), ("ack.com/services/T0A/B0B/c0C", 1)],
    "softlayer": [("sl_api_key", 1), (f" == '{ALNUM * 2}'\nslkey: {ALNUM * 2}\n", 1),
    ("http://api.softlayer.com/soap/v3", 1), (f".1/{ALNUM * 2}", 1)],
    "square": token("sq0", "csp-" + BASE64 + "\\-_01234567"),
    "stripe": token("sk_", "live_" + BASE64[:24]) + token("rk_", "live_" + BASE64[:23]),
    "twilio": token("A", "C" + ALNUM) + token("x S", "K" + ALNUM),
}  # fmt: skip
TEXTS: dict[str, list[tuple[str, int]]] = {
    **{f"token: {name}": text for name, text in TOKENS.items()},
    "secrets": [(f"a = '{DIGEST}'\nb = \"{BASE64}\"\nc = '{BASE64}\"\nd = '{DIGEST}'\n", 2)],
    "secrets within an earlier line": [(f"  x = '{DIGEST}' # no\nx = '{DIGEST}'\n", 1),
    (f"# pragma: allowlist secret x: '{BASE64}';\nx: '{BASE64}'\n", 1)],
    "entropy": [(f"'{'0123456789' * 2}' '{DIGEST[:16]}' '01234567' 'deadbeefcafe1234567890'\n", 1),
    ('"The_Quick-Brown+Fox/Jumps=Over" "abcdefghijklmnopqrstuvwxyz" "aaaaaaaaaaaaaaaaa"', 1)],
    "passwords": [
        ("password: hunter2, \nPassword : x\nmy_passwd=abc`,\ndb_pass == 'x y'\npwd !== "
         "`q`r`;\n", 1),
        ("api_key 'abc def';\nsecret_key\"]: \"v1\"\napikey => \"v2\"\nclient-key: no\n", 1),
        ("if 'hunter3' == password_secure or `x`y` != secret:\nkey_pass: ${x}\nauth_key: {x}\n", 1),
        ("contraseña: añb\nCONTRASENA = zz\nap\u0131_key: d1\n\u017fecret: d2\n"
         "service_\u212aey: d3\n", 1),
        ("secret = get_secret('x')\npwd: request.headers['k']\npassword: ****\npassword: "
         "12345\n", 1),
        ("password: $x1\npassword: <y>\nmy_id: password: z9\nids, 'x' password='z8'\n", 1),
        ("secret:: q\nsecret === q\nsecret ==== q\nsecret]]]: q\nsecret'\": q\n"
         "secret:\u00a0q1\n", 1),
    ],
    "allowed": [
        (f"a='{DIGEST}' # pragma: allowlist secret\nb='{DIGEST}' // "
         "pragma:whitelist-secret x\n", 1),
        (f"c='{DIGEST}' /* pragma: allowlist secret */ \nd='{DIGEST}' <!-- pragma: allowlist "
         f"secret\n", 1),
        (f"-- pragma: allowlist nextline secret\ne='{DIGEST}'\n{'f'}='{DIGEST}' pragma: "
         f"allowlist secret\n", 1),
        (f"x /* pragma: allowlist nextline secret */\ng='{BASE64}'\n/*  pragma: allowlist "
         f"nextline secret */ \n", 1),
        (f"h='{BASE64}'\n", 1),
    ],
    "uuid and sequences": [
        ("'01234567-89ab-cdef-0123-456789abcdef' 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh'\n", 1),
        ("password: 01234567-89ab-cdef-0123-456789abcdef\npassword: abcdef\n", 1),
    ],
    "secrets between other line breaks": [(f"x\u2028'{DIGEST}'\r\n'{BASE64}'\x0bpwd: a\x85pwd: "
                                           f"b", 1)],
    "Dolma's own example": [
        ("/* copyright: Test 2023 **/\n\nThis is a document.\n\nThis line contains a secret: "
         "https", 1),
        ("://username:password@dolma.allen.ai\n\nThis is a line with just text.", 1),
    ],
    "copyright": [("int a; /* (C) */ int b; /* copyright */", 1)],
    "copyright in capitals": [("é\n/* COPYR\u0130GHT 中 ***/ x /* y */", 1)],
    "copyright with a dotless i": [("/**Copyr\u0131ght*/", 1)],
    "open comment": [("// a\n/* copyright", 1)],
    "a comment that is too short": [("/*/ copyright", 1), (" /**/", 1)],
    "comment block": [("# é\n\n// b\n-- c\n\nx = 1 # d\n", 1)],
    "comments only": [("# a\n# b", 1)],
    "not a comment block": [(" # a\n- b\n/ c", 1)],
    "a CR alone is no empty line": [("\r\n# a\r\n", 1)],
    "xml": [(" " * 80, 1), ("<?xml version=", 1)],
    "xml too late": [(" " * 87, 1), ("<?xml version=", 1)],
    "words and marks": [("e\u0301a\u0308 x_y ² Ⓐ \u200d a\x1fb ٣٤ ,,;; 中文", 1)],
    "python": [
        ('"""Module."""\n# a comment\n\n\nclass B:\n    r"""  Of a class. """\n\n    def '
         'g(self):\n', 1),
        ("        'g'  # at the end\n        s = '# no' + \"\"\"\n# no\n\"\"\"\n\n\nasync def "
         "f(): 'f'\n", 1),
        ("def f():\n    ('one' ' two')\n    def inner():\n        '''In\n        ner.'''\n#é", 1),
    ],
    "python 2": [("#! x\nprint 'a' # b\nexec \"x\"\n", 1)],
    "python without comments": [("x = 1\n", 9)],
    "python, open bracket": [("'''doc'''\n# a\nx = (1,\n# b\n", 1)],
    "python, odd indentation": [("# a\nif x:\n        y\n    z # b\n", 1)],
    "python, open string": [("# a\nx = '''b\n# c\n", 1)],
    "python, apostrophe": [("# a\ndon't # b 'c\nx = 'd\\\n# e' # f\n", 1)],
    "python, empty": [],
    "python, one space": [(" ", 1)],
    "python, NUL": [("# a\0b\n'''x'''\n", 1)],
    "python, escapes": [("'\\d'\nx = '\\d' is 1 # a\n", 1)],
    "java": [("// é\nclass A { /* b */ String s = \"// no\"; /** c\n */ char d = '\"'; }\r\n// "
              "e", 1)],
    "java, empty": [],
    "javascript": [("#!/x\nvar a = /[/*]/; // b\n`${1 /* c */}` /* d */ <!-- e\n\n", 1)],
    "javascript without comments": [("var a = 1;\n", 1)],
    "c": [("/* a */ int b; // c\n#if 0\n x\n#endif\n", 1)],
    "c++": [("// a\nint b;\n", 1)],
    "no lexer": [("# a\n", 1)],
    "stars": [("x", 1)],
    "stars in a string": [("x", 1)],
    "stars that are no number": [("x", 1)],
    "stars in a list": [("x", 1)],
    "stars: null": [("x", 1)],
    "stars: a fraction": [("x", 1)],
    "extension: a list": [("x", 1)],
    "extension: null": [("x", 1)],
    "extension: a number": [("x", 1)],
    "extension with its dot": [("# x\n", 1)],
    "html": [
        ("<!DOCTYPE html><html><head><title>T</title><style>x { }</style></head><body>", 1),
        ("<p>Some words that a browser shows &amp; more &#233; </p>\n  \n<script>no</script>", 3),
        ("<!-- no --><pre> \n </pre><template>no</template><textarea> </textarea>", 1),
    ],
    "html of few words": [("<html><head></head><body>short</body></html>", 1)],
    "html, empty": [],
    "html that is text": [("Just a text without any tags, but one that is long enough to "
                           "count. " * 2, 1)],
    "html, odd": [("<![x[ <p>" + "many words " * 20 + "<script>never closed " + "x" * 200, 1)],
    "html, declaration": [("<!x[ y <![CDATA[ " + "many words " * 20, 1)],
    "html, file name": [("index.html", 1)],
    "html, xml": [("<?xml version='1.0'?><a><b>" + "many words " * 20 + "</b></a>", 1)],
    "code and prose": [
        ("The cat sat on a mat because it was a cat.\n\nint x = foo(a[0]);\nreturn x;\n"
         "\u2028}\n", 2),
        ("  The mat sat.  \x0bfor (i = 0;\r\n...\nthe\n cat \nthe answer = mat;", 1),
    ],
    "lines of three characters": [("abc\n  x \n\u3000中文字\u3000\n中文字字", 1)],
}  # fmt: skip
METADATA = {
    name: {"ext": extension}
    for name in TEXTS
    for start, extension in {
        "python": "py", "java": "java", "javascript": "js", "html": "html", "c": "c", "c++": "cpp",
        "no lexer": "abap", "xml": "xml",
    }.items()
    if name.split(",")[0].split(" ")[0] == start or name == start
} | {
    "stars": {"max_stars_count": 7},
    "stars in a string": {"max_stars_count": "12", "ext": "js"},
    "stars that are no number": {"max_stars_count": "many"},
    "stars in a list": {"max_stars_count": [1]},
    "stars: null": {"max_stars_count": None, "ext": "md"},
    "stars: a fraction": {"max_stars_count": 1.234567},
    "extension: a list": {"ext": ["py"]},
    "extension: null": {"ext": None},
    "extension: a number": {"ext": 1},
    "extension with its dot": {"ext": ".py"},
}  # fmt: skip
#: where Dolma takes too long: its expressions are quadratic and worse in a line's length
INSTEAD = {
    "code_secrets_v1": {
        "5 MB on one line": {"doc": 0.0},
        "1 MB of spaces and a digit": {"doc": 0.0},
    }
}

WORDS = {
    "prose": "the cat sat on a mat because it was old and answer said so one day",
    "code": "int x = foo(a[0]); return for (i = 0; i++) { } if else => def class self.x",
}


def prepare() -> None:
    import fasttext
    from dolma.core.registry import TaggerRegistry

    rng = random.Random(0)
    lines = []
    for i in range(300):
        label = ("code", "prose", "other")[i % 3]
        words = (WORDS.get(label) or f"{WORDS['code']} {WORDS['prose']}").split()
        lines.append(f"__label__{label} {' '.join(rng.choices(words, k=rng.randrange(2, 9)))}\n")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.txt"
        data.write_text("".join(lines), encoding="utf-8")
        model = fasttext.train_supervised(
            str(data), dim=6, bucket=100, epoch=10, lr=0.4, wordNgrams=2, thread=1, verbose=0
        )
    model.save_model(str(MODEL))
    TaggerRegistry.get("code_composition").MODEL_PATH = str(MODEL)
