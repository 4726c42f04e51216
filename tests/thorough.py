"""How long the tests may take that kill programs again and again.

The gate has minutes: it kills at some moments spread over the whole work. HFDOCTOR_THOROUGH=1 kills before every
change that is made and a hundred times at random.
"""

from __future__ import annotations

import os

THOROUGH = os.environ.get("HFDOCTOR_THOROUGH") == "1"
#: how often at random
KILLS = 100 if THOROUGH else 5
#: before how many of the changes that are made; None: every one
MOMENTS = None if THOROUGH else 4
WHY_NOT = "takes minutes; HFDOCTOR_THOROUGH=1 runs it"
