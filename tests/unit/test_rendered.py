"""The lookup `rendered`: a template for each item is compiled once, and gives the same text."""

from __future__ import annotations

from typing import Any

import pytest
import rendered
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

TEMPLATES = {
    "plain": "{{ ansible_managed }}\n[Unit]\nA={{ one.a }}\n",
    "ends in a block": "A\n{% for b in one.b %}\nB={{ b }}\n{% endfor %}\n",
    "begins with a line break": "\n\nA={{ one.a }}\n\n\n",
    "no line break at its end": "A={{ one.a }}",
    "a block and a condition": (
        "{% if one.b %}\nhas\n{% endif %}\nA={{ one.a }}\n{% if one.a %}\nx\n{% endif %}"
    ),
    "sets": "{% set c = one.a %}\n{{ c }}\\n\n",
}
ITEMS: list[dict[str, Any]] = [{"a": "1 {{ x }}", "b": []}, {"a": "", "b": ["p", "q"]}]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_for_each_item_is_as_one_alone(kind: str) -> None:
    known = {"ansible_managed": rendered.MANAGED}

    def templar(**more: Any) -> Templar:
        return Templar(loader=DataLoader(), variables={**known, **more})

    alone = [rendered.render(templar(one=item), TEMPLATES[kind]) for item in ITEMS]
    each = rendered.render_each(templar(**{rendered.ITEMS: ITEMS}), TEMPLATES[kind], "one")
    assert each == alone
    assert len(set(alone)) == len(ITEMS)
    assert rendered.render_each(templar(**{rendered.ITEMS: []}), TEMPLATES[kind], "one") == []
