"""What the steps of a delivery share."""

from __future__ import annotations

import pytest
from roster_upload.delivery.job import Draft, beside
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.terminal import output


def test_a_draft_becomes_the_receipt() -> None:
    draft = Draft(Receipt(run="a"))
    draft.update(outcome=Outcome.SENT, district="Maple")
    assert draft.receipt == Receipt(run="a", outcome=Outcome.SENT, district="Maple")
    assert draft.is_sent


def test_phases_of_one_name_add_up_whatever_happens_in_them() -> None:
    draft = Draft(Receipt(seconds={"guard": 5.0}))
    with pytest.raises(ValueError, match="no"), draft.phase("guard"):
        raise ValueError("no")
    with draft.phase("write"):
        pass
    assert list(draft.receipt.seconds) == ["guard", "write"]
    assert draft.receipt.seconds["guard"] >= 5.0


def test_an_error_beside_a_delivery_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(output, "say", logged.append)
    with beside("the metrics could not be written"):
        raise OSError(28, "No space left on device")
    assert logged == ["the metrics could not be written: No space left on device"]
