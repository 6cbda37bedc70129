"""Creative Commons licences in the HTML of a page."""

from __future__ import annotations

TAGGERS = ["cc_re", "cc_re_fast"]
CC = "http://creativecommons.org"
PAGES = {
    "4.0": f'<a href="{CC}/licenses/by/4.0/">CC BY 4.0</a>',
    "https": '<a rel="license" href="https://creativecommons.org/licenses/by-nc-sa/3.0/">x</a>',
    "httpsss": '<a href="httpsss://creativecommons.org/licenses/by/3.0/">x</a>',
    "zero": f"<p><a rel=x href='{CC}/publicdomain/zero/1.0/?ref=y' class=\"z\">CC0</a>",
    "mark": f'<meta name="x" content="{CC}/publicdomain/mark/1.0/deed.fr">',
    "certification": f"<A HREF={CC}/publicdomain/certification/1.0/us/ title='x'>",
    "deed": f'<a href="{CC}/licenses/by/4.0/deed.es">x</a>',
    "a deed in no language": f'<a href="{CC}/licenses/by-sa/3.0/deed">x</a>',
    "country and language": f'<a href="{CC}/licenses/by-nd/3.0/hr/legalcode.hr" '
                            f'hreflang="hr">x</a>',
    "country": f'<a href="{CC}/licenses/by-nc-sa/2.5/ca/">x</a>',
    "legalcode": f'<a href="{CC}/licenses/by-nc-nd/2.0/legalcode">x</a>',
    "no version": f'<a href="{CC}/licenses/by-nc">x</a>',
    "no licence of this order": f'<a href="{CC}/licenses/by-nd-nc/1.0/">x</a>',
    "odd combination": f'<a href="{CC}/licenses/by-nc-nd-sa/">x</a>',
    "many": f'<a href="{CC}/licenses/by/4.0/">x</a> <a href="{CC}/licenses/by-sa/4.0/">y</a>' * 3,
    "two in a tag": f'<a href="{CC}/licenses/by/4.0/" content="{CC}/licenses/by-sa/4.0/">x</a>',
    "two in a tag, the last without end": f'<a href="{CC}/licenses/by/4.0/"\n'
                                          f'content={CC}/licenses/by-sa/4.0\n>',
    "no quote": f"<a href={CC}/licenses/by/4.0/>x</a>",
    "a quote later": f"<a href={CC}/licenses/by/4.0/>it's</a>",
    "a quote on the next line": f"<a href={CC}/licenses/by/4.0/>x\n'</a>",
    "entities": f"<a href=&quot;{CC}/licenses/by/4.0/&quot;>x</a>",
    "other tags": f'<b href="{CC}/licenses/by/4.0/"> <ab href="{CC}/licenses/by/4.0/">',
    "not reached": f'<a x="$" href="{CC}/licenses/by/4.0/">',
    "across lines": f'<a\n\n rel="x"\n\n\nhref="{CC}/licenses/by/4.0/">',
    "fast, by what follows": " ".join(
        f"{CC}/licenses/{name}" for name in ('by"', "by/", "by ", "by>", "by'")
    ),
    "fast, all": " ".join(
        f"https://creativecommons.org/licenses/{name}/"
        for name in ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "publicdomain", "x")
    ),
    "other sites": '<a href="http://creativecommons.com/licenses/by/4.0/">',
    "no links": "<a href='x'>creativecommons.org/licenses</a>",
    "empty html": "",
}  # fmt: skip
TEXTS = {name: [("é", 1)] for name in PAGES} | {
    "page without text": [],
    "no html": [("x", 1)],
    "html: null": [("x", 1)],
    "html: a number": [("x", 1)],
}
METADATA = {name: {"html": html} for name, html in PAGES.items()} | {
    "page without text": {"html": PAGES["4.0"]},
    "no html": {},
    "html: null": {"html": None},
    "html: a number": {"html": 1},
}
