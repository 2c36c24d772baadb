import pytest

from skelemo.openpose.names import FrameNames, group, printable


@pytest.mark.parametrize(
    ("name", "stem", "number", "view"),
    [
        ("Kick 1_000000000042_keypoints.json", "Kick 1", 42, ""),
        ("a_1_000000000003_000000000042_keypoints.json", "a_1_000000000003", 42, ""),
        ("видео 動画_000000000000_keypoints.json", "видео 動画", 0, ""),
        ("000000000007_keypoints.json", "", 7, ""),
        ("clip_000000000007_keypoints_1.json", "clip", 7, "1"),
        ("clip_000000000007_keypoints_12.json", "clip", 7, "12"),
        ("clip_keypoints_000000000007_keypoints.json", "clip_keypoints", 7, ""),
        ("clip_002147483647_keypoints.json", "clip", 2**31 - 1, ""),
    ],
)
def test_a_frame_is_known_by_the_twelve_digits_before_the_ending(name: str, stem: str, number: int, view: str) -> None:
    (video,) = group([name])
    assert video == (stem, view, (name,))
    assert isinstance(video.files, FrameNames)
    assert list(video.files.numbers) == [number]


@pytest.mark.parametrize(
    ("name", "stem", "view"),
    [
        ("a_keypoints.json", "a", ""),
        ("0001_keypoints.json", "0001", ""),
        ("17_keypoints_2.json", "17", "2"),
        ("clip000000000042_keypoints.json", "clip000000000042", ""),  # nothing between stem and number
        ("clip_0000000000042_keypoints.json", "clip_0000000000042", ""),  # thirteen digits
        ("clip_٠٠٠٠٠٠٠٠٠٠٤٢_keypoints.json", "clip_٠٠٠٠٠٠٠٠٠٠٤٢", ""),  # C++ prints no such digits
        ("clip_002147483648_keypoints.json", "clip_002147483648", ""),  # beyond int32
        ("a_keypoints_keypoints.json", "a_keypoints", ""),
        ("_keypoints.json", "", ""),
    ],
)
def test_any_other_name_of_openpose_is_a_still(name: str, stem: str, view: str) -> None:
    assert list(group([name])) == [(stem, view, (name,))]


@pytest.mark.parametrize(
    "name",
    [
        "labels.json",
        "keypoints.json",
        "a_keypoints.txt",
        "a_keypoints_b.json",
        "a_keypoints_.json",
        "a_keypoints.json~",
    ],
)
def test_other_files_are_not_openposes(name: str) -> None:
    assert list(group([name])) == []


def test_frames_are_in_the_order_of_their_numbers_and_gaps_stay() -> None:
    names = [f"clip_{number:012d}_keypoints.json" for number in (30, 4, 1_000_000, 10)]
    (video,) = group(names)
    assert isinstance(video.files, FrameNames)
    assert list(video.files.numbers) == [4, 10, 30, 1_000_000]
    assert video.files == tuple(names[i] for i in (1, 3, 0, 2))


@pytest.mark.parametrize("stem", ["clip_", "", "a_000000000001_", "видео_"])
@pytest.mark.parametrize("ending", ["_keypoints.json", "_keypoints_3.json"])
def test_a_video_is_the_same_alone_and_beside_others(stem: str, ending: str) -> None:
    names = [f"{stem}{number:012d}{ending}" for number in (7, 2**31 - 1, 0, 123_456_789)]
    (alone,) = group(names)
    beside = list(group([*names, "zzz_000000000001_keypoints.json", "b_keypoints.json"]))
    assert beside[0] == alone
    assert [found.stem for found in beside[1:]] == ["zzz", "b"]


@pytest.mark.parametrize(
    "odd", ["clip_00000000001x_keypoints.json", "clix_000000000001_keypoints.json", "clip_0_keypoints.json"]
)
def test_one_name_that_is_not_like_the_others_is_no_frame_of_theirs(odd: str) -> None:
    video, other = group(["clip_000000000005_keypoints.json", odd, "clip_000000000004_keypoints.json"])
    assert video.files == ("clip_000000000004_keypoints.json", "clip_000000000005_keypoints.json")
    assert other.files == (odd,)


def test_two_cameras_of_a_video_stay_apart() -> None:
    names = [f"clip_{number:012d}_keypoints_{view}.json" for number in (1, 0) for view in (1, 2)]
    first, second = group(names)
    assert (first.view, first.files) == ("1", (names[2], names[0]))
    assert (second.view, second.files) == ("2", (names[3], names[1]))


def test_no_name_is_made_up_of_names_of_other_lengths() -> None:
    names = [
        "x.json_000000000001_keypoints.json",
        "x.json_000000000002_keypoints.jsonx.json",
        "_000000000003_keypoints.json",
    ]
    assert {name for found in group(names) for name in found.files} == {names[0], names[2]}


def test_stills_of_a_sequence_are_in_natural_order_each_camera_for_itself() -> None:
    names = ["b10_keypoints.json", "b9_keypoints.json", "B1_keypoints.json", "b9_keypoints_1.json", "2_keypoints.json"]
    first, second = group(names, sequence=True)
    assert first == (
        "",
        "",
        ("2_keypoints.json", "B1_keypoints.json", "b9_keypoints.json", "b10_keypoints.json"),
    )
    assert second == ("", "1", ("b9_keypoints_1.json",))


def test_a_sequence_leaves_numbered_frames_to_their_own_video() -> None:
    names = ["a_keypoints.json", "clip_000000000000_keypoints.json", "b_keypoints.json"]
    stems = [(found.stem, len(found.files)) for found in group(names, sequence=True)]
    assert sorted(stems) == [("", 2), ("clip", 1)]


def test_a_name_stays_as_it_is_unless_it_cannot_be_encoded() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert (printable(composed), printable(decomposed)) == (composed, decomposed)
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"
