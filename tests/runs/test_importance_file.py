"""``importance.csv``: written, read back, averaged over folds and seeds, and refused where it is damaged."""

import numpy as np
import pandas as pd
import pytest

from skelemo.errors import InputError
from skelemo.runs.importance import COLUMNS, FILE, mean_importance, read_importance, write_importance


def a_table(score=0.8, mouth=0.2, wrist=0.01, error=0.05, subset="validation"):
    """Rows of a head with a region and a joint."""
    nan, common = np.nan, {"head": "expression", "metric": "macro_f1", "subset": subset, "windows": 100.0}
    common |= {"groups": 12.0, "grouped_by": "subject", "x": nan, "y": nan, "seen": nan}
    none = {"level": "none", "part": "", "name": "", "score": score, "loss": 0.0, "error": 0.0, "low": 0.0, "high": 0.0}
    region = {"level": "region", "part": "face_70", "name": "mouth", "score": score - mouth, "loss": mouth}
    region |= {"error": error, "low": mouth - 2 * error, "high": mouth + 2 * error}
    joint = {"level": "joint", "part": "body_25", "name": "RWrist", "score": score - wrist, "loss": wrist}
    joint |= {"error": error, "low": wrist - 0.1, "high": wrist + 0.1, "x": 0.5, "y": 1.25, "seen": 0.9}
    return pd.DataFrame([common | one for one in (none, region, joint)])[list(COLUMNS)]


def of(table, name):
    return table.set_index("name").loc[name]


def test_it_is_read_as_it_was_written(tmp_path):
    table = a_table()
    table.loc[2, ["score", "loss", "error", "low", "high"]] = np.nan  # there was no time for it
    write_importance(tmp_path, table)
    pd.testing.assert_frame_equal(read_importance(tmp_path), table, check_dtype=False)
    assert not len(read_importance(tmp_path / "nothing here"))
    write_importance(tmp_path / "nothing here", table[:0])
    assert not (tmp_path / "nothing here").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("head,metric", "head,matric"),
        (",0.2,", ",much,"),
        (",0.2,", ",inf,"),
        (",0.2,", ",1e300,"),
        (",0.2,", ",,"),
        ("region,", "organ,"),
        ("joint,body_25,RWrist", "region,face_70,mouth"),
        ("macro_f1,none", "macro_f1,\x00\ufffdnone"),
    ],
)
def test_damage_costs_one_line(tmp_path, old, new):
    write_importance(tmp_path, a_table())
    file = tmp_path / FILE
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=f"{FILE} is damaged") as error:
        read_importance(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"head\n", b"PAR1" * 50])
def test_what_is_no_table_is_damaged(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=f"{FILE} is damaged"):
        read_importance(tmp_path)


def test_a_single_training_speaks_for_itself():
    pd.testing.assert_frame_equal(mean_importance([[a_table()]]), a_table())
    assert not len(mean_importance([[], []]))


def test_three_folds_give_students_interval():
    found = of(mean_importance([[a_table(mouth=loss)] for loss in (0.1, 0.2, 0.3)]), "mouth")
    assert found["loss"] == pytest.approx(0.2)
    assert found["score"] == pytest.approx(0.6)
    # sd 0.1, standard error 0.1 / sqrt(3) = 0.057735, and t of two degrees of freedom 4.302653
    assert found["error"] == pytest.approx(0.057735, abs=1e-6)
    assert (found["low"], found["high"]) == pytest.approx((0.2 - 0.248414, 0.2 + 0.248414), abs=1e-6)
    assert (found["windows"], found["groups"], found["grouped_by"]) == (300, 3, "fold")


def test_two_folds_and_seeds_keep_the_errors_of_the_bootstrap():
    folds = of(mean_importance([[a_table(mouth=0.1, error=0.03)], [a_table(mouth=0.3, error=0.04)]]), "mouth")
    assert folds["error"] == pytest.approx(0.025)  # sqrt(0.03² + 0.04²) / 2
    assert (folds["low"], folds["high"]) == pytest.approx((0.2 - 0.049, 0.2 + 0.049))
    assert (folds["windows"], folds["groups"], folds["grouped_by"]) == (200, 24, "subject")
    seeds = of(mean_importance([[a_table(mouth=0.1, error=0.05), a_table(mouth=0.3, error=0.05)]]), "mouth")
    assert seeds["error"] == pytest.approx(0.05)  # the same people: seeds do not lessen it
    assert (seeds["loss"], seeds["windows"], seeds["groups"]) == (pytest.approx(0.2), 100, 12)


def test_seeds_of_folds_are_averaged_first_and_what_one_fold_lacks_counts_where_it_is():
    one, other = a_table(mouth=0.1), a_table(mouth=0.3)
    found = mean_importance([[one, other], [a_table(mouth=0.4)], [a_table(mouth=0.6)[lambda t: t["name"] != "RWrist"]]])
    assert of(found, "mouth")["loss"] == pytest.approx(0.4)
    assert of(found, "mouth")["error"] == pytest.approx(0.2 / np.sqrt(3))
    assert of(found, "RWrist")["groups"] == 2
    assert of(found, "RWrist")["loss"] == pytest.approx(0.01)
