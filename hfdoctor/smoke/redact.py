"""Takes secrets out of what a child said, before any of it becomes a fact."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..facts.legible import legible
from ..facts.redaction import MASK, is_secret, without_credentials
from ..facts.sections.smoke import StageRun
from .environment import places_of

#: letters of a value that is taken out wherever it stands; shorter ones would take words out of sentences
SHORTEST = 6
#: what follows "Bearer" or "Basic" in a header that a library prints
_HEADER = r"(?i)\b(bearer|basic)\s+[^\s'\",]+"
#: the key of a signed link, also where the address before it is missing
_SIGNED = r"\?[^\s'\"]*(?:Signature|Key-Pair-Id|X-Amz|[Tt]oken)=[^\s'\"]*"
#: what colours a terminal or moves its cursor, and other characters that are not for reading
_CONTROL = r"\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b\[[0-9;?]{0,20}[ -/]?[@-~]|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]"
#: bytes of a token file that are read
TOKEN_FILE_LIMIT = 4096


class Redactor:
    """Knows the secrets of an environment: variables that hold any, passwords of proxies, the access token's file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = {value for name, value in environ.items() if is_secret(name)}
        for name, value in environ.items():
            if name.lower().endswith("_proxy") and "@" in value:
                user = value.rpartition("@")[0].rpartition("//")[2]
                found |= {user, user.partition(":")[2]}
        found.add(_token_in_file(environ))
        self._secrets = sorted((word.strip() for word in found if len(word.strip()) >= SHORTEST), key=len, reverse=True)

    def text(self, words: str) -> str:
        """``words`` with ``***`` in place of every secret, and without what is meant for a terminal only."""
        words = re.sub(_CONTROL, "", legible(words))
        for secret in self._secrets:
            words = words.replace(secret, MASK)
        if "://" in words or "?" in words:
            words = re.sub(_SIGNED, f"?{MASK}", words)
        return re.sub(_HEADER, rf"\1 {MASK}", without_credentials(words))

    def stage(self, stage: StageRun) -> None:
        """Take the secrets out of everything that a stage says."""
        stage.message = self.text(stage.message)
        stage.because = self.text(stage.because)
        stage.trace = [self.text(line) for line in stage.trace]
        stage.printed = [self.text(line) for line in stage.printed]
        for one in stage.deviations:
            one.what, one.expected, one.got = (self.text(words) for words in (one.what, one.expected, one.got))
        stage.facts = {name: self.text(v) if isinstance(v, str) else v for name, v in stage.facts.items()}


def _token_in_file(environ: Mapping[str, str]) -> str:
    """The access token that ``hf auth login`` keeps in a file, by huggingface_hub's rules of where; "" for none."""
    try:
        with open(places_of(environ).token, encoding="utf-8") as file:
            return file.read(TOKEN_FILE_LIMIT).strip()
    except (OSError, ValueError):
        return ""
