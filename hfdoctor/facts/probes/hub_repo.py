"""What the scan of a hub cache knows of the repository that it is in."""

from __future__ import annotations

from .hub_content import Look


class Budget:
    """How many ordinary files may still be measured."""

    def __init__(self, ordinary: int) -> None:
        self.ordinary = ordinary


class Repo:
    """What is known of a repository while it is scanned."""

    def __init__(self, name: str, holds_models: bool, budget: Budget) -> None:
        self.name = name
        self.holds_models = holds_models
        self.budget = budget
        #: names in blobs/, and those of them that are links into the shared store
        self.blobs: set[str] = set()
        self.links: set[str] = set()
        self.commits: set[str] = set()
        #: a part of it could not be read, so that nobody can tell what is not used any more
        self.unread = False
        #: commits that a branch or tag points at
        self.named: set[str] = set()
        #: by commit: names of the blobs that its links lead to; bytes of one that has copies only
        self.used: dict[str, set[str]] = {}
        self.copied: dict[str, int] = {}
        self.measured: set[str] = set()
        self.looked: dict[str, Look | None] = {}
