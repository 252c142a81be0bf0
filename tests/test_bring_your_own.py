"""The panel that looks at a folder and trains on it: every control, without a browser."""

import shutil
from pathlib import Path

import pytest
from jobs import Gate, said
from pictures import nowhere as nowhere
from test_inspection import broken, good

from tuckerlab.data.image_folder import SAMPLES, inspect_folder
from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import BringYourOwn, bring_your_own


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(step=0)
    monkeypatch.setattr(bring_your_own, "inspect_folder", lambda *a, **k: gate.hold(0) or inspect_folder(*a, **k))
    return gate


def test_a_good_folder_is_ready_and_training_follows(nowhere: Path) -> None:
    good()
    panel = BringYourOwn(epochs=1, width=0.25)
    assert "Type a folder" in said(panel.state)
    assert panel.training.layout.display == "none"
    for pasted in ("  'set' ", "folder:set"):  # and Enter
        panel.folder.value = pasted
        panel.wait()
        assert panel.training.dataset.value == "folder:set"
    assert said(panel.state) == "✓ Ready to train: 40 images to train and 10 to test, in 2 classes"
    assert panel.classes.value.count("<img") == 2 * SAMPLES
    assert panel.classes.value.count("<td>20</td><td>5</td>") == 2
    assert panel.stop.disabled
    assert panel.training.dense.value
    assert panel.training.epochs.value == 1  # as asked for, not what suits folders
    assert panel.training.layout.display == ""
    assert panel.always_the_same == "50.0 %"
    panel.folder.value = "lost"
    assert panel.report is None  # what was found in one folder says nothing about another
    panel.wait()
    assert "the folder lost is not there" in panel.problem
    assert panel.training.layout.display == "none"
    assert "folder first" in panel.always_the_same
    panel.folder.value = ""
    panel.wait()
    assert panel.problem == ""


def test_problems_stand_before_warnings_and_prevent_training(nowhere: Path) -> None:
    good()
    broken()
    shutil.copy("set/train/a/00.png", "set/test/a/copy.png")
    panel = BringYourOwn("set")
    panel.look.click()
    panel.wait()
    assert panel.training.layout.display == "none"
    assert "Not yet" in said(panel.state)
    text = panel.findings.value
    assert text.index("Prevents training") < text.index("train/b/03.png (not a picture)") < text.index("Good to know")
    assert text.index("Good to know") < text.index("copies of training images: 1 (test/a/copy.png)")


def test_the_last_folder_wins(nowhere: Path, gate: Gate) -> None:
    good("first")
    good("second")
    panel = BringYourOwn("first")
    panel.look.click()
    gate.wait()
    panel.folder.value = "second"
    gate.opened.set()
    panel.wait()
    assert panel.report is not None
    assert panel.report.path == Path("second")
    assert panel.training.dataset.value == "folder:second"


def test_stop_ends_a_look_and_says_how_far_it_got(nowhere: Path, gate: Gate) -> None:
    good()
    panel = BringYourOwn("set")
    panel.stop.click()  # nothing to stop yet
    panel.look.click()
    gate.wait()
    panel.stop.click()
    gate.opened.set()
    panel.wait()
    assert "Stopped after 0 of 50 images" in said(panel.state)
    assert panel.training.layout.display == "none"
    panel.look.click()
    panel.wait()
    assert panel.training.layout.display == ""


def test_unattended_a_folder_that_will_not_do_is_an_error(nowhere: Path) -> None:
    with pytest.raises(TuckerlabError, match="lost is not there"):
        BringYourOwn("lost", attended=False)
    good()
    broken()
    with pytest.raises(TuckerlabError, match="2 of 50 files cannot be read"):
        BringYourOwn("set", attended=False)
    assert BringYourOwn("set").finding.startswith("No comparison yet")
