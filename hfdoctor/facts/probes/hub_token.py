"""The shape of the access token: how long, and what is odd about it. The token itself leaves this module never."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..fact import Fact, absent, known
from ..legible import legible
from ..sections.hub import TokenShape

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_PLACEHOLDER = r"""(?:hf_)?(?:
        [x*.\-_]+ | (?:my|your|enter|insert|paste|put|add|replace|change)[\w\- .]* | [<{\[].*[>}\]] | \$.* | %.*%
        | (?:access|api|hf|hugging_?face|user|write|read)?[_\-]?token(?:_?here)? | token_?(?:value|goes|here)\w*
        | none | null | nil | undefined | true | false | todo | dummy
        | fake | test(?:ing)? | secret | abc\d* | 12?345\d*
    )"""
#: how keys of other services begin
_OTHER_SERVICE = r"sk-|sk_|ghp_|gho_|github_pat_|glpat-|AKIA|AIza|xox[bp]-|r8_|gsk_|nvapi-"
#: characters; a token of the hub has 37
SHORTEST = 20


def read_token(environ: Mapping[str, str], path: str, fold_case: bool = False) -> Fact[TokenShape]:
    """The token that the library would send: of the first variable that is not empty, else of the file ``path``."""
    values = {name.upper(): value for name, value in environ.items()} if fold_case else environ
    for name in VARIABLES:
        if values.get(name):
            shape = shape_of(values[name], name)
            if "empty" not in shape.oddities:  # of nothing but blanks: the library goes on to the file
                return known(shape, name)
    source = legible(path)
    try:
        with open(path, "rb") as file:
            content = file.read(4096)
    except FileNotFoundError:
        return absent("no variable is set and there is no token file", source)
    except NotADirectoryError:
        return absent("no variable is set and there can be no token file", source)
    except (IsADirectoryError, PermissionError) as error:
        # both stop the library, which reads the file before every request
        oddity = "unreadable" if isinstance(error, PermissionError) and not _is_folder(path) else "not-a-file"
        return known(TokenShape(source, 0, [oddity]), source)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return known(TokenShape(source, len(content), ["not-text"]), source)
    return known(shape_of(text, source), source)


def shape_of(token: str, source: str) -> TokenShape:
    """What can be said of a token without saying it."""
    odd = []
    if "\n" in token or "\r" in token:
        odd.append("newline")
    inner = token.replace("\r", "").replace("\n", "")
    if inner != inner.strip():
        odd.append("whitespace")
    inner = inner.strip()
    if not inner:
        return TokenShape(source, 0, [*odd, "empty"])
    if inner[0] in "\"'`\u201c\u2018" or inner[-1] in "\"'`\u201d\u2019":
        odd.append("quoted")
    bare = inner.strip("\"'`\u201c\u201d\u2018\u2019")
    if re.match(r"(?:authorization:\s*)?bearer\b", bare, re.IGNORECASE):
        odd.append("bearer-prefix")
        bare = re.sub(r"(?i)^(?:authorization:\s*)?bearer\s*", "", bare)
    if not inner.isascii():
        odd.append("non-ascii")
    if any(letter.isspace() for letter in bare):
        odd.append("inner-whitespace")
    if re.fullmatch(_PLACEHOLDER, bare, re.IGNORECASE | re.VERBOSE) and not _looks_drawn(bare):
        odd.append("placeholder")
    elif re.match(_OTHER_SERVICE, bare):
        odd.append("other-service")
    elif not bare.startswith("hf_"):
        odd.append("wrong-prefix")
    elif len(bare) < SHORTEST:
        odd.append("too-short")
    return TokenShape(source, len(inner), odd)


def _looks_drawn(token: str) -> bool:
    """Whether it has the form of a real token, 34 letters and digits drawn at random, which may well begin "hf_my"."""
    return re.fullmatch(r"hf_[A-Za-z0-9]{30,}", token) is not None and len(set(token)) > 12


def _is_folder(path: str) -> bool:
    import os

    return os.path.isdir(path)  # Windows answers "permission denied" when a folder is opened
