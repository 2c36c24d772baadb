from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelemo.errors import InputError
from skelemo.evaluation.circumplex import READING
from skelemo.report.ensemble import fuse
from skelemo.runs.folder import Run, read_run
from skelemo.runs.predictions import output_table, write_predictions

RunFolder = Callable[..., Path]
SMALL = {"subjects": 4, "videos": 2, "frames": 5}


@pytest.fixture
def pair(tmp_path: Path, run_folder: RunFolder) -> list[Run]:
    return [read_run(run_folder(tmp_path / f"seed {seed}", seed=seed, folds=2, **SMALL)) for seed in (1, 2)]


def test_probabilities_and_affects_are_averaged_window_by_window(pair: list[Run]) -> None:
    fused = fuse(pair)
    key = ["fold", "subset", "sequence", "frame"]
    tables = [run.predictions.astype({"subset": str, "sequence": str}).set_index(key).sort_index() for run in pair]
    found = fused.predictions.set_index(key).sort_index()
    columns = [f"expression_p_{name}" for name in fused.head("expression").outputs]
    mean = (tables[0][columns].astype(float) + tables[1][columns].astype(float)) / 2
    assert np.allclose(found[columns], mean)
    assert (found["expression_predicted"] == mean.idxmax(axis=1).str.removeprefix("expression_p_")).all()
    valence = (tables[0]["va_valence_predicted"].astype(float) + tables[1]["va_valence_predicted"].astype(float)) / 2
    assert np.allclose(found["va_valence_predicted"], valence)


def test_runs_with_independent_errors_are_better_together(tmp_path: Path, run_folder: RunFolder) -> None:
    runs = [read_run(run_folder(tmp_path / str(seed), seed=seed, skill=1.2)) for seed in range(4)]
    fused = fuse(runs)
    assert fused.subset == "test"
    for head, figure in (("expression", "macro_f1"), ("va", "ccc_mean")):
        best = max(run.shown[head][figure]["value"] for run in runs)
        assert fused.shown[head][figure]["value"] > best


def test_a_run_fused_with_itself_is_that_run(pair: list[Run]) -> None:
    fused = fuse([pair[0], pair[0]])
    for head in ("expression", "va"):
        theirs, mine = (pd.json_normalize(run.shown[head]).iloc[0] for run in (pair[0], fused))
        numbers = [name for name in theirs.index if isinstance(theirs[name], int | float)]
        assert mine[numbers].tolist() == pytest.approx(theirs[numbers].tolist())


def test_the_order_of_rows_does_not_matter(pair: list[Run], tmp_path: Path, run_folder: RunFolder) -> None:
    other = run_folder(tmp_path / "shuffled", seed=2, folds=2, **SMALL)
    write_predictions(other / "predictions.parquet", pair[1].predictions.sample(frac=1, random_state=0), pair[1].heads)
    assert fuse([pair[0], read_run(other)]).scores == fuse(pair).scores


def test_an_ensemble_keeps_what_its_runs_share_and_stays_simulated(
    pair: list[Run], tmp_path: Path, run_folder: RunFolder
) -> None:
    fused = fuse(pair)
    assert fused.config["optimizer"] == "adam"
    assert "seed" not in fused.config
    assert fused.members == ("seed 1", "seed 2")
    assert fused.data["simulated"] is True
    silent = read_run(run_folder(tmp_path / "silent", folds=2, simulated=False, **SMALL))
    assert fuse([pair[0], silent]).data["simulated"] is True


def test_only_heads_that_all_runs_have_are_fused(pair: list[Run], tmp_path: Path, run_folder: RunFolder) -> None:
    one = read_run(run_folder(tmp_path / "va", heads=["va"], folds=2, **SMALL))
    other = read_run(run_folder(tmp_path / "expression", heads=["expression"], folds=2, **SMALL))
    assert [head.name for head in fuse([pair[0], one]).heads] == ["va"]
    with pytest.raises(InputError, match=r"no head in common \(va: va; expression: expression\)"):
        fuse([one, other])


def test_windows_labeled_for_other_heads_only_do_not_prevent_an_ensemble(
    pair: list[Run], tmp_path: Path, run_folder: RunFolder
) -> None:
    one = read_run(run_folder(tmp_path / "expression", heads=["expression"], folds=2, **SMALL))
    for run in pair:
        run.predictions["expression"] = run.predictions["expression"].astype(object)
        run.predictions.loc[::5, "expression"] = ""
    labeled = pair[0].predictions["expression"] != ""
    fewer = replace(one, predictions=one.predictions[labeled])
    assert len(fuse([pair[0], fewer]).predictions) == labeled.sum()


def test_emotions_mapped_from_values_are_not_averaged(pair: list[Run]) -> None:
    columns = output_table(READING, np.eye(7)[np.zeros(len(pair[0].predictions), int)]) | {"emotion": "anger"}
    mapped = [
        replace(
            run,
            predictions=run.predictions.assign(**columns),
            config={**run.config, "neutral_radius": 0.2},
            environment={**run.environment, "heads": [*run.environment["heads"], READING.to_json()]},
        )
        for run in pair
    ]
    assert [head.name for head in fuse(mapped).heads] == ["expression", "va"]


def test_classes_in_another_order_are_fused_by_name(pair: list[Run]) -> None:
    expected = fuse(pair)
    heads = [head.to_json() for head in pair[1].heads]
    heads[0]["outputs"] = heads[0]["outputs"][::-1]
    other = replace(pair[1], environment={**pair[1].environment, "heads": heads})
    assert other.heads[0].outputs == expected.heads[0].outputs[::-1]
    fused = fuse([pair[0], other])
    assert fused.heads[0] == expected.heads[0]
    assert fused.scores == expected.scores


def test_unlabeled_windows_are_fused_and_other_labels_refused(pair: list[Run]) -> None:
    one, other = pair
    for run in pair:
        run.predictions.loc[run.predictions.index[::5], ["va_valence", "va_arousal"]] = np.nan
    fused = fuse(pair)
    assert fused.predictions["va_valence"].isna().sum() == one.predictions["va_valence"].isna().sum() > 0
    other.predictions.loc[other.predictions.index[0], "va_valence"] = 0.125
    with pytest.raises(InputError, match=r"different labels: row \d+ has va_valence nan and 0\.125"):
        fuse(pair)


def test_a_prediction_that_one_run_lacks_is_an_error(pair: list[Run]) -> None:
    pair[1].predictions.loc[3, "va_arousal_predicted"] = np.nan
    with pytest.raises(InputError, match="no ensemble of seed 1, seed 2: va lacks predictions in one of 2 tables"):
        fuse(pair)


def test_runs_on_other_windows_labels_or_classes_are_refused(
    pair: list[Run], tmp_path: Path, run_folder: RunFolder
) -> None:
    longer = read_run(run_folder(tmp_path / "longer", folds=2, **SMALL | {"frames": 6}))
    with pytest.raises(InputError, match=r"seed 1 and longer: predictions for 160 and 192 windows"):
        fuse([pair[0], longer])
    three = read_run(run_folder(tmp_path / "three", classes=["joy", "grief", "other"], folds=2, **SMALL))
    with pytest.raises(InputError, match="expression differs"):
        fuse([pair[0], three])
    moved = pair[1].predictions.assign(fold=3 - pair[1].predictions["fold"])
    write_predictions(pair[1].path / "predictions.parquet", moved, pair[1].heads)
    with pytest.raises(InputError, match=r"different windows: row 0 has sequence 'f1/tes.*' and 'f2/tes"):
        fuse([pair[0], read_run(pair[1].path)])
    with pytest.raises(InputError, match="an ensemble of 1 run; expected two or more"):
        fuse(pair[:1])
