"""Clips of mistakes and other small files of run folders that others may have written."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from skelemo.errors import InputError
from skelemo.runs import importance, yaml_settings
from skelemo.runs.mistakes import FILE, read_mistakes

FACTS = {"head": "mood", "fold": 1, "sequence": "a", "frame": 3, "layout": "body_25", "fps": 25.0, "size": [640, 480]}


def written(folder, facts, points=None, numbers=(3, 4)):
    arrays = {"points_0": np.ones((2, 25, 3), np.float32) if points is None else points}
    arrays["numbers_0"] = np.array(numbers, np.int32)
    save_file(arrays, str(folder / FILE), {"clips": json.dumps([FACTS | facts])})


def test_a_clip_is_read_with_its_facts(tmp_path):
    written(tmp_path, {})
    (one,) = read_mistakes(tmp_path)
    assert (one.fold, one.frame, one.fps, one.size, one.numbers.tolist()) == (1, 3, 25.0, (640, 480), [3, 4])
    assert (len(one.layout), one.points.shape) == (25, (2, 25, 3))


@pytest.mark.parametrize(
    ("facts", "points", "numbers", "said"),
    [
        ({"frame": "3"}, None, (3, 4), "frame is '3'"),
        ({"fold": 1.5}, None, (3, 4), "fold is 1.5"),
        ({"size": [640]}, None, (3, 4), "not enough values"),
        ({}, np.ones((0, 25, 3), np.float32), (), "points [0, 25, 3]; expected finite [0, 25, 3] (body_25)"),
        ({}, np.full((2, 25, 3), np.nan, np.float32), (3, 4), "points [2, 25, 3]; expected finite"),
        ({}, np.ones((2, 70, 3), np.float32), (3, 4), "points [2, 70, 3]; expected finite [2, 25, 3] (body_25)"),
        ({}, np.ones((3, 25, 3), np.float32), (3, 4), "points [3, 25, 3]; expected finite [2, 25, 3] (body_25)"),
    ],
)
def test_a_clip_that_no_training_wrote_is_damaged(tmp_path, facts, points, numbers, said):
    written(tmp_path, facts, points, numbers)
    with pytest.raises(InputError, match=rf"{FILE} is damaged: .*; delete it for a report without clips$") as error:
        read_mistakes(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_importance_file_of_absurd_size_is_not_read(tmp_path, monkeypatch):
    (tmp_path / importance.FILE).write_text("head\n" * 30)
    monkeypatch.setattr(importance, "_MOST_BYTES", 149)
    with pytest.raises(InputError, match=r"importance\.csv is damaged: 150 bytes; delete it for a report without"):
        importance.read_importance(tmp_path)


def test_a_settings_file_that_cannot_be_opened_or_is_no_text_is_a_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: No such file or directory$"):
        yaml_settings.read_user_yaml(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"x: \xff\xfe")
    with pytest.raises(InputError, match=r"x\.yaml: not a readable YAML file \(.*\)$"):
        yaml_settings.read_user_yaml(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("x: " + "[" * 400)
    with pytest.raises(InputError, match=r"x\.yaml: not a readable YAML file \(nested too deeply\)$"):
        yaml_settings.read_user_yaml(tmp_path / "x.yaml")
