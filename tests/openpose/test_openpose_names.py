import pytest

from skelemo.openpose.names import FrameNames, group, printable, take_of


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
def test_twelve_digits_before_the_ending_are_a_frame_number(name: str, stem: str, number: int, view: str) -> None:
    (video,) = group([name])
    assert video[:3] == (stem, view, (name,))
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
def test_other_openpose_names_are_stills(name: str, stem: str, view: str) -> None:
    assert [one[:3] for one in group([name])] == [(stem, view, (name,))]


def test_frames_are_sorted_by_number_with_gaps() -> None:
    names = [f"clip_{number:012d}_keypoints.json" for number in (30, 4, 1_000_000, 10)]
    (video,) = group(names)
    assert isinstance(video.files, FrameNames)
    assert list(video.files.numbers) == [4, 10, 30, 1_000_000]
    assert video.files == tuple(names[i] for i in (1, 3, 0, 2))


@pytest.mark.parametrize("stem", ["clip_", "", "a_000000000001_", "видео_"])
@pytest.mark.parametrize("ending", ["_keypoints.json", "_keypoints_3.json"])
def test_grouping_does_not_depend_on_other_files(stem: str, ending: str) -> None:
    names = [f"{stem}{number:012d}{ending}" for number in (7, 2**31 - 1, 0, 123_456_789)]
    (alone,) = group(names)
    beside = list(group([*names, "zzz_000000000001_keypoints.json", "b_keypoints.json"]))
    assert beside[0] == alone
    assert [found.stem for found in beside[1:]] == ["zzz", "b"]


@pytest.mark.parametrize(
    "odd", ["clip_00000000001x_keypoints.json", "clix_000000000001_keypoints.json", "clip_0_keypoints.json"]
)
def test_a_different_name_is_not_a_frame_of_the_video(odd: str) -> None:
    video, other = group(["clip_000000000005_keypoints.json", odd, "clip_000000000004_keypoints.json"])
    assert video.files == ("clip_000000000004_keypoints.json", "clip_000000000005_keypoints.json")
    assert other.files == (odd,)


def test_cameras_of_a_video_are_separate() -> None:
    names = [f"clip_{number:012d}_keypoints_{view}.json" for number in (1, 0) for view in (1, 2)]
    first, second = group(names)
    assert (first.view, first.files) == ("1", (names[2], names[0]))
    assert (second.view, second.files) == ("2", (names[3], names[1]))


def test_names_of_different_lengths_are_not_mixed_up() -> None:
    names = [
        "x.json_000000000001_keypoints.json",
        "x.json_000000000002_keypoints.jsonx.json",
        "_000000000003_keypoints.json",
    ]
    assert sorted(name for found in group(names) for name in found.files) == sorted(names)


def test_images_of_a_sequence_are_in_natural_order_by_camera() -> None:
    names = ["b10_keypoints.json", "b9_keypoints.json", "B1_keypoints.json", "b9_keypoints_1.json", "2_keypoints.json"]
    first, second = group(names, sequence=True)
    order = ("2_keypoints.json", "B1_keypoints.json", "b9_keypoints.json", "b10_keypoints.json")
    assert first[:3] == ("", "", order)
    assert second[:3] == ("", "1", ("b9_keypoints_1.json",))


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (["frame_00001_keypoints.json", "frame_00003_keypoints.json"], ""),
        (["frame00001_keypoints.json", "frame00003_keypoints.json"], ""),
        (["image-1.json", "image-3.json"], ""),
        (["00001_keypoints.json", "00003_keypoints.json"], ""),
        (["1_keypoints.json", "3_keypoints.json"], ""),
        (["clip_00001_keypoints.json", "clip_00003_keypoints.json"], "clip"),
        (["cam01.0001.json", "cam01.0003.json"], "cam01"),
        (["take 2 0001_Keypoints.JSON", "take 2 0003_Keypoints.JSON"], "take 2"),
    ],
)
def test_numbered_images_are_a_sequence(names: list[str], stem: str) -> None:
    (found,) = group(reversed_and_listed(names))
    assert (found.stem, found.images, list(found.files)) == (stem, True, names)
    assert isinstance(found.files, FrameNames)
    assert list(found.files.numbers) == [1, 3]
    assert [one.files for one in group(names, sequence=False)] == [(name,) for name in names]


def reversed_and_listed(names: list[str]) -> list[str]:
    return names[::-1]


def test_numbers_longer_than_the_padding_are_one_sequence() -> None:
    names = [f"frame_{number:02d}_keypoints.json" for number in range(95, 105)]
    (found,) = group(names)
    assert list(found.files) == names


@pytest.mark.parametrize(
    "names",
    [
        ["face0001_keypoints.json", "face0002_keypoints.json"],  # a word glued to a number
        ["picture001_keypoints.json", "picture002_keypoints.json"],
        ["0101a02_keypoints.json", "0101a05_keypoints.json"],
        ["1234_keypoints.json", "8817_keypoints.json", "9921_keypoints.json", "1235_keypoints.json"],  # identifiers
        ["a_01_keypoints.json", "a_1_keypoints.json"],  # the same number twice
        ["happy_keypoints.json", "sad_keypoints.json"],
    ],
)
def test_images_without_a_running_number_are_stills(names: list[str]) -> None:
    assert sorted(one.files for one in group(names)) == sorted((name,) for name in names)


def test_a_sequence_leaves_numbered_frames_to_their_own_video() -> None:
    names = ["a_keypoints.json", "clip_000000000000_keypoints.json", "b_keypoints.json"]
    stems = [(found.stem, len(found.files)) for found in group(names, sequence=True)]
    assert sorted(stems) == [("", 2), ("clip", 1)]


def test_printable_replaces_only_undecodable_bytes() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert (printable(composed), printable(decomposed)) == (composed, decomposed)
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"


@pytest.mark.parametrize(
    ("video", "take"),
    [
        ("day 1/clip", "day 1/clip"),
        ("day 1/clip_view2", "day 1/clip"),
        ("take 3/cam01", "take 3"),
        ("take 3/camera_2/clip", "take 3/clip"),
        ("clip_flipped_720p", "clip"),
        ("clip-mirrored", "clip"),
        ("clip_h264", "clip"),
        ("clip_25fps", "clip"),
        ("45-24-1280x720_left", "45-24-1280x720"),
        ("clip_from65536", "clip"),
        ("cam1", "cam1"),
        ("bright", "bright"),
        ("clip_12", "clip_12"),
    ],
)
def test_views_and_copies_of_a_video_are_one_take(video: str, take: str) -> None:
    assert take_of(video) == take
