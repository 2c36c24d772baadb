"""Tables of suspects, which may be edited by hand, and lags where the frame rate is unknown."""

from dataclasses import replace

import numpy as np
import pytest
from test_audit import a_person
from test_audit_by_hand import corpus_of

from skelemo.audit import suspects
from skelemo.audit.labels import shifted
from skelemo.audit.out_of_fold import Predicted
from skelemo.audit.suspects import COLUMNS, Suspect, ranked, read_suspects, write_suspects
from skelemo.errors import InputError
from skelemo.targets import VA

HEADER = ",".join(COLUMNS)


def test_names_that_look_like_nothing_or_like_formulas_come_back(tmp_path):
    one = Suspect("label", "NA", "null", 3, 3, 0.5, "x" * 2001, "mood", "=sad")
    write_suspects(tmp_path / "q.csv", ranked([one], 9))
    assert "'=sad" in (tmp_path / "q.csv").read_text()
    (row,) = read_suspects(tmp_path / "q.csv").itertuples()
    assert (row.video, row.person, row.first, row.last, row.value) == ("NA", "null", 3, 3, "=sad")
    assert row.found == "x" * 2000


def test_equal_suspects_are_ranked_by_video_and_frame():
    places = [("b", 1), ("a", 9), ("a", 2)]
    table = ranked([Suspect("frozen", video, "", first, 9, 0.5, "") for video, first in places], 9)
    assert list(zip(table["video"], table["first"], strict=True)) == [("a", 2), ("a", 9), ("b", 1)]


@pytest.mark.parametrize("row", ["1,label,v,,1.5,3,0.5,f,,", "1,label,v,,-0.5,3,0.5,f,,", "1,label,v,,2e9,1,0.5,f,,"])
def test_the_line_of_a_wrong_number_is_that_of_the_file(tmp_path, row):
    (tmp_path / "q.csv").write_text(f"{HEADER}\n1,label,v,,1,3,1,f,,\n{row}\n")
    with pytest.raises(InputError, match=r"q\.csv: line 3: (first|last) '.*'; expected "):
        read_suspects(tmp_path / "q.csv")


def test_a_table_of_absurd_size_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "q.csv").write_text(f"{HEADER}\n")
    assert read_suspects(tmp_path / "q.csv").empty
    monkeypatch.setattr(suspects, "_MOST_BYTES", 20)
    with pytest.raises(InputError, match=r"q\.csv: more than 0 MB; expected a table of suspects"):
        read_suspects(tmp_path / "q.csv")


@pytest.mark.parametrize(("fps", "lag", "found"), [(0, 40, "40 frames later"), (10, 40, None), (0, 4, None)])
def test_a_lag_is_searched_for_three_seconds_or_75_frames_and_from_5_frames(tmp_path, fps, lag, found):
    wave = np.convolve(np.random.default_rng(0).normal(0, 1, 400), np.ones(3) / 9, "valid")
    values = np.stack([wave[50 - lag : 350 - lag], np.zeros(300)], 1).astype(np.float32)
    person = a_person("one", np.ones((300, 25, 3), np.float32), labels={"va": values})
    corpus, places = corpus_of(tmp_path / "c", replace(person, fps=float(fps)))
    outputs = np.stack([wave[50:350], np.zeros(300)], 1)
    texts = [one.found for one in shifted(corpus, places, Predicted(VA, np.arange(300), outputs))]
    assert [text.partition(" than")[0] for text in texts] == ([f"va comes {found}"] if found else [])
