"""Archives of OpenPose's files are folders of their name, and hostile ones are data."""

import errno
import gzip
import io
import lzma
import os
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from openpose_json import frame, person, points, write_video
from recordings import find_recordings

from skelemo.errors import InputError
from skelemo.openpose import archive as archives
from skelemo.openpose.files import MAX_BYTES
from skelemo.openpose.people import RecordingError, read_people
from skelemo.openpose.reader import Reader, archive_order
from skelemo.openpose.recording import Found, search
from skelemo.openpose.unpacking import DECOMPRESSORS, Stream
from skelemo.skeleton import layout

BODY = layout("body_25")
KINDS = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip"]


def name(number: int, stem: str = "clip") -> str:
    return f"{stem}_{number:012d}_keypoints.json"


def body(first: float) -> bytes:
    return frame(person(pose=points(25, first)))


def pack(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for member, data in members.items():
                packed.writestr(member, data)
    else:
        with tarfile.open(path, f"w:{path.suffix[1:].replace('tgz', 'gz').replace('tar', '')}") as packed_tar:
            for member, data in members.items():
                add(packed_tar, member, data)
    return path


def add(packed: tarfile.TarFile, member: str, data: bytes = b"", **facts: object) -> None:
    info = tarfile.TarInfo(member)
    info.size = len(data)
    for fact, value in facts.items():
        setattr(info, fact, value)
    packed.addfile(info, io.BytesIO(data))


def summary(found: Found) -> list[tuple[str, str, int]]:
    return [(one.name, one.source, len(one.files)) for one in found.recordings]


def unpacked_beside(path: Path, members: Mapping[str, bytes]) -> Path:
    for member, data in members.items():
        place = path / member
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_acts_as_a_folder_of_its_name(tmp_path: Path, ending: str) -> None:
    members = {name(n): body(10.0 + n) for n in (5, 3, 4, 9)}
    members |= {f"day 1/{name(n, 'a')}": body(n) for n in (0, 1)} | {"day 2/000000000007_keypoints.json": body(1)}
    members |= {".hidden/b_keypoints.json": b"", "readme.txt": b"x", "__MACOSX/._clip_keypoints.json": b""}
    plain = search(unpacked_beside(tmp_path / "plain" / "clip", members).parent)
    pack(tmp_path / "packed" / f"clip{ending}", members)
    packed = search(tmp_path / "packed")
    assert summary(packed) == summary(plain)
    assert packed.problems == ()
    for one, other in zip(packed.recordings, plain.recordings, strict=True):
        assert (one.subfolder, one.is_folder, list(one.files)) == (other.subfolder, other.is_folder, list(other.files))
        ours, theirs = read_people(one, BODY), read_people(other, BODY)
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(ours.number, theirs.number)
        assert ours.bytes_read == theirs.bytes_read


def simulated(source: Path) -> dict[str, bool]:
    return {one.source: one.simulated for one in search(source).recordings}


@pytest.mark.parametrize("ending", KINDS)
def test_a_simulated_marker_anywhere_in_an_archive_applies_to_all_of_it(tmp_path: Path, ending: str) -> None:
    members = {f"{folder}/{name(0)}": body(0) for folder in ("a", "a/b", "c")}
    path = pack(tmp_path / "in" / f"x{ending}", members)
    assert simulated(path) == {"a/clip": False, "a/b/clip": False, "c/clip": False}
    for marker in ("simulated.json", "a/b/simulated.json", "./empty/simulated.json"):
        pack(path, {**members, marker: b"{}"})
        assert simulated(path) == {"a/clip": True, "a/b/clip": True, "c/clip": True}


def test_a_simulated_marker_above_an_archive_applies_to_all_of_it(tmp_path: Path) -> None:
    for folder in ("real", "sim/deep"):
        pack(tmp_path / folder / "x.tar", {name(0): body(0), f"b/{name(1)}": body(1)})
    (tmp_path / "sim" / "simulated.json").write_bytes(b"{}")
    told = {"real/x/clip": False, "real/x/b/clip": False, "sim/deep/x/clip": True, "sim/deep/x/b/clip": True}
    assert simulated(tmp_path) == told


def test_a_link_named_like_a_simulated_marker_is_one(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        add(packed, "simulated.json", type=tarfile.LNKTYPE, linkname="elsewhere/simulated.json")
        add(packed, f"b/{name(0)}", body(0))
    assert simulated(tmp_path / "x.tar") == {"b/clip": True}


def test_a_truncated_archive_is_unreadable_instead_of_empty(tmp_path: Path) -> None:
    whole = pack(tmp_path / "in" / "x.tar.gz", {name(n): body(n) for n in range(50)})
    whole.write_bytes(whole.read_bytes()[:-400])
    size, remedy = whole.stat().st_size, "download or create it again"
    with pytest.raises(InputError) as error:
        search(whole)
    assert str(error.value) == f"{whole}: the archive cannot be read: it is truncated after {size:,} bytes; {remedy}"
    with pytest.raises(InputError, match=r"in: x\.tar\.gz cannot be read: .*; no OpenPose file in the rest"):
        search(whole.parent)


@pytest.mark.parametrize("ending", KINDS)
def test_a_top_folder_named_like_the_archive_is_not_repeated(tmp_path: Path, ending: str) -> None:
    pack(tmp_path / "happy" / f"take 1{ending}", {f"./take 1/{name(0)}": body(0), f"./take 1/{name(1)}": body(1)})
    assert summary(search(tmp_path)) == [("clip", "happy/take 1/clip", 2)]


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_may_be_the_source_itself(tmp_path: Path, ending: str) -> None:
    path = pack(tmp_path / f"all{ending}", {f"happy/{name(0)}": body(0), f"sad/{name(1, 'b')}": body(1)})
    assert summary(search(path)) == [("clip", "happy/clip", 1), ("b", "sad/b", 1)]


@pytest.mark.parametrize("ending", KINDS)
def test_members_with_other_names_are_recognized_by_content(tmp_path: Path, ending: str) -> None:
    members = {f"a/take_{n:012d}.json": body(n) for n in range(3)} | {"a/x.JSON": body(9)}
    others = {f"b/coco_{n}.json": b'{"annotations": []}' for n in range(4)}
    pack(tmp_path / f"x{ending}", {**others, **members})
    found = search(tmp_path)
    assert summary(found) == [("take", "x/a/take", 3), ("x", "x/a/x", 1)]
    assert read_people(found.recordings[0], BODY).keypoints[:, 0, 0].tolist() == [0, 1, 2]
    assert f"skipped 4 JSON files without OpenPose's people (such as x{ending}/b/coco_0.json, " in found.notes[0]


def test_a_recording_extracted_beside_its_archive_counts_once(tmp_path: Path) -> None:
    write_video(tmp_path / "clip", {0: body(0), 1: body(1)})
    pack(tmp_path / "clip.tar", {name(0): b"", "b_keypoints.json": body(1)})
    pack(tmp_path / "clip.zip", {name(0): b""})
    found = search(tmp_path)
    assert [(one.source, one.archive is None) for one in found.recordings] == [("clip/b", False), ("clip/clip", True)]
    assert "skipped 2 archived recordings also found extracted" in found.notes[0]


def test_a_compressed_archive_with_interleaved_recordings_is_read_once(tmp_path: Path, monkeypatch) -> None:
    members = [(stem, n) for n in range(40) for stem in "abc"]
    random.Random(0).shuffle(members)
    pack(tmp_path / "x.tar.gz", {name(n, stem): body(10.0 * n + ord(stem)) for stem, n in members})
    recordings = search(tmp_path).recordings
    opened = []
    start = Stream.__init__
    monkeypatch.setattr(Stream, "__init__", lambda self, *rest: (opened.append(1), start(self, *rest))[1])
    with closing(Reader()) as reader:
        reader.expect(recordings)
        for one in (recordings[index] for index in archive_order(recordings)):
            people = read_people(one, BODY, contents=reader.contents(one))
            assert people.keypoints[:, 0, 0].tolist() == [10.0 * n + ord(one.name) for n in range(40)]
    assert len(opened) == 1


def test_recordings_announced_one_by_one_are_read_in_one_pass(tmp_path: Path, monkeypatch) -> None:
    pack(tmp_path / "x.tar.xz", {name(n, stem): body(n) for stem in "abcd" for n in range(5)})
    recordings = search(tmp_path).recordings
    opened = []
    start = Stream.__init__
    monkeypatch.setattr(Stream, "__init__", lambda self, *rest: (opened.append(1), start(self, *rest))[1])
    with closing(Reader()) as reader:
        for pair in (recordings[:2], recordings[2:]):
            reader.expect(pair)
            for index in archive_order(pair):
                assert len(read_people(pair[index], BODY, contents=reader.contents(pair[index])).number) == 5
    assert len(opened) == 1


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_names_in_every_tar_format_are_read(tmp_path: Path, style: int) -> None:
    deep = "/".join(["a folder of thirty characters."] * 5)
    with tarfile.open(tmp_path / "x.tar", "w", format=style) as packed:
        add(packed, f"{deep}/{name(1, 'Стук' if style != tarfile.USTAR_FORMAT else 'Stuk')}", body(7))
    (one,) = search(tmp_path).recordings
    assert one.subfolder == f"x/{deep}"
    assert read_people(one, BODY).keypoints[0, 0, 0] == 7


def test_links_devices_and_outside_paths_are_skipped_and_reported(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        add(packed, name(0), body(0))
        add(packed, name(1), type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(packed, name(2), type=tarfile.CHRTYPE)
        add(packed, name(3), type=tarfile.FIFOTYPE)
        add(packed, name(7), type=tarfile.LNKTYPE, linkname=name(0))
        add(packed, f"/abs/{name(4)}", body(0))
        add(packed, f"../{name(5)}", body(0))
        add(packed, f"a/../../{name(6)}", body(0))
    pack(tmp_path / "y.zip", {name(0, "b"): body(0), f"../{name(1, 'b')}": b"", f"/{name(2, 'b')}": b""})
    with zipfile.ZipFile(tmp_path / "y.zip", "a") as packed_zip:
        link = zipfile.ZipInfo(name(3, "b"))
        link.external_attr = 0o120777 << 16
        packed_zip.writestr(link, "/etc/passwd")
    found = search(tmp_path)
    assert summary(found) == [("clip", "x/clip", 1), ("b", "y/b", 1)]
    assert "skipped 7 links, devices or paths outside the archive" in found.notes[0]
    assert "skipped 3 links, devices" in found.notes[1]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_concatenated_archives_are_read_to_the_end(tmp_path: Path, ending: str) -> None:
    parts = [pack(tmp_path / "parts" / f"{n}{ending}", {name(n): body(n)}) for n in range(3)]
    whole = tmp_path / "in" / f"x{ending}"
    whole.parent.mkdir()
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    (one,) = search(whole).recordings
    assert read_people(one, BODY).keypoints[:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda first, second: first + b"signed by somebody" * 100, "is damaged at byte 10,240"),
        (lambda first, second: first + bytes(1 << 21) + b"x" + second[1:], "is damaged at byte 2,107,392"),
        (lambda first, second: first + second[:300], "is truncated after 10,540 bytes"),
    ],
)
def test_bytes_after_the_end_of_an_archive_are_an_archive_or_damage(tmp_path: Path, spoil, message: str) -> None:
    one, other = (pack(tmp_path / f"{n}.tar", {name(n): body(n)}).read_bytes() for n in range(2))
    (tmp_path / "in.tar").write_bytes(spoil(one, other))
    with pytest.raises(InputError, match=rf"in.tar: the archive cannot be read: it {message}"):
        search(tmp_path / "in.tar")


def test_a_zip_with_backslashes_is_read(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = f"day 1\\clip\\{name(0)}"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(info, body(1))
    assert summary(search(tmp_path)) == [("clip", "x/day 1/clip/clip", 1)]


def test_unsupported_archives_are_reported(tmp_path: Path) -> None:
    inner = pack(tmp_path / "out" / "kicks.tar", {name(0): body(0)})
    hidden = {"__MACOSX/._kicks.tar": b"", ".old/kicks.tar": b""}
    source = pack(tmp_path / "in" / "outer.tar", {"kicks.tar": inner.read_bytes(), **hidden}).parent
    with pytest.raises(InputError, match=r"in 2 folders with 0 other JSON files and 1 unsupported archive"):
        search(source)
    write_video(source, {0: frame()})
    for other in ("a.7z", "b.tar.zst", "c_keypoints.json.xz"):
        (source / other).write_bytes(b"")
    (note,) = search(source).notes
    assert "skipped 4 archives within an archive or of an unsupported format (first " in note


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
def test_the_last_of_duplicate_members_is_used(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for first in (1, 2):
                packed.writestr(name(0), body(first))
    else:
        with tarfile.open(path, f"w:{ending[5:]}") as packed_tar:
            for first in (1, 2):
                add(packed_tar, name(0), body(first))
    found = search(tmp_path)
    assert "1 duplicate file; the last of each name is used" in found.notes[0]
    assert read_people(found.recordings[0], BODY).keypoints[0, 0, 0] == 2


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_truncated_anywhere_is_one_problem(tmp_path: Path, ending: str) -> None:
    members = {name(n): body(n) for n in range(30)}
    whole = pack(tmp_path / f"x{ending}", members).read_bytes()
    write_video(tmp_path, {0: body(0)}, "other")
    for size in (0, 1, 100, 512, len(whole) // 2, len(whole) - (1 if ending != ".tar" else 10_240)):
        (tmp_path / f"x{ending}").write_bytes(whole[:size])
        found = search(tmp_path)
        assert summary(found) == [("other", "other", 1)], size
        (problem,) = found.problems
        assert problem.file == f"x{ending}"
    with pytest.raises(InputError, match=rf"x{ending}: the archive cannot be read: it is "):
        search(tmp_path / f"x{ending}")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2"])
def test_an_error_of_the_disk_is_not_damage_of_the_archive(tmp_path: Path, ending: str) -> None:
    class Lost(io.FileIO):
        def readinto(self, buffer: object) -> int:
            raise OSError(errno.ESTALE, "Stale file handle")

    path = pack(tmp_path / f"x{ending}", {name(0): body(0)})
    stream = Stream(io.BufferedReader(Lost(path)), DECOMPRESSORS.get(ending))
    with pytest.raises(OSError, match="Stale file handle"):
        stream.read(512)


@pytest.mark.parametrize("ending", KINDS)
def test_a_flipped_byte_is_at_most_a_problem(tmp_path: Path, ending: str) -> None:
    path = pack(tmp_path / f"x{ending}", {name(n): body(n) for n in range(4)})
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 20))):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with suppress(InputError):  # and nothing else
            for one in search(tmp_path).recordings:
                read_people(one, BODY)


def test_a_member_of_another_name_in_the_directory_is_an_unreadable_frame(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {name(n): body(n) for n in range(3)})
    head, _, tail = path.read_bytes().rpartition(name(2).encode())
    path.write_bytes(head + name(6).encode() + tail)
    people = read_people(search(tmp_path).recordings[0], BODY)
    assert people.number.tolist() == [0, 1]
    assert "its name differs from that in the archive's directory" in people.problems[0].reason


def test_a_member_with_a_wrong_checksum_is_an_unreadable_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for n in range(3):
            packed.writestr(name(n), body(n + 100))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"[101", b"[191", 1))
    people = read_people(search(tmp_path).recordings[0], BODY)
    assert people.number.tolist() == [0, 2]
    assert people.problems[0].file == f"x/{name(1)}"
    assert people.problems[0].reason == "cannot be read: is damaged: its checksum does not match"


def test_encrypted_members_and_unsupported_methods_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(name(0), body(0))
        packed.writestr(name(1), body(1))
        packed.writestr(name(2), body(2), zipfile.ZIP_BZIP2)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[entry + 8] |= 1  # the flag of encryption, in the list of members
    path.write_bytes(data)
    people = read_people(search(tmp_path).recordings[0], BODY)
    assert people.number.tolist() == [0]
    assert [problem.reason for problem in people.problems] == [
        "cannot be read: is encrypted",
        "cannot be read: is compressed by method 12; skelemo reads 0 (stored) and 8 (deflate)",
    ]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
def test_a_member_far_larger_than_a_frame_is_not_read(tmp_path: Path, ending: str) -> None:
    pack(tmp_path / f"x{ending}", {name(0): body(0), name(1): b" " * (MAX_BYTES + 1), name(2): body(0)})
    people = read_people(search(tmp_path).recordings[0], BODY)
    assert people.number.tolist() == [0, 2]
    assert people.problems[0].reason == f"cannot be read: has {MAX_BYTES + 1:,} bytes, far more than a frame"


def test_a_compression_bomb_in_a_member_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "x.zip", {name(0): body(0), name(1): b" " * (4 << 20)})
    people = read_people(search(tmp_path).recordings[0], BODY)
    assert people.number.tolist() == [0]
    assert "times its size, far more than a frame" in people.problems[0].reason


def test_a_bomb_is_refused_beyond_a_thousand_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.xz"
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 40
    packer = lzma.LZMACompressor()
    with path.open("wb") as file:
        file.write(packer.compress(info.tobuf()))
        for _ in range(130):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    with pytest.raises(InputError, match=r"decompresses to more than 1,000 times its size"):
        search(path)


def test_a_huge_header_is_refused(tmp_path: Path) -> None:
    for kind in (b"x", b"L", b"g"):
        info = tarfile.TarInfo("header")
        info.type, info.size = kind, 1 << 30
        (tmp_path / "x.tar").write_bytes(info.tobuf())
        with pytest.raises(InputError, match="far more than a name"):
            search(tmp_path / "x.tar")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    pack(tmp_path / "x.zip", dict.fromkeys([name(n) for n in range(11)], b""))
    with pytest.raises(InputError, match="has more than 10 files: split it"):
        search(tmp_path)


def test_sizes_beyond_the_file_are_problems(tmp_path: Path) -> None:
    info = tarfile.TarInfo(name(0))
    info.size = 1 << 50
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(InputError, match="is truncated"):
        search(tmp_path / "x.tar")
    data = bytearray(pack(tmp_path / "y.zip", {name(0): body(0)}).read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**32 - 1, 2**32 - 1)
    (tmp_path / "y.zip").write_bytes(data)
    with pytest.raises(RecordingError, match="far more than a frame"):
        read_people(search(tmp_path / "y.zip").recordings[0], BODY)


def test_a_zip_with_a_prefix_and_a_zip64_are_read(tmp_path: Path) -> None:
    plain = pack(tmp_path / "x.zip", {name(0): body(5)}).read_bytes()
    (tmp_path / "x.zip").write_bytes(b"#!/bin/sh\n" * 50 + plain)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as packed, packed.open(name(0), "w", force_zip64=True) as member:
        member.write(body(6))
    firsts = [read_people(one, BODY).keypoints[0, 0, 0] for one in search(tmp_path).recordings]
    assert firsts == [5, 6]


def test_an_archive_that_changes_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    for ending in KINDS:
        path = pack(tmp_path / f"x{ending}", {name(0): body(5)})
        (one,) = search(path).recordings
        os.utime(path, ns=(1, 1))
        with pytest.raises(RecordingError, match="has changed since it was listed"):
            read_people(one, BODY)


def test_gzip_in_several_members_is_one_archive(tmp_path: Path) -> None:
    whole = pack(tmp_path / "x.tar", {name(n): body(n) for n in range(5)}).read_bytes()
    (tmp_path / "y.tgz").write_bytes(gzip.compress(whole[:3000]) + gzip.compress(whole[3000:]) + bytes(1000))
    assert [len(read_people(one, BODY).number) for one in search(tmp_path / "y.tgz").recordings] == [5]


def test_a_recording_in_an_archive_can_be_pickled(tmp_path: Path) -> None:
    pack(tmp_path / "x.zip", {name(n): body(n) for n in range(5)})
    (one,) = search(tmp_path).recordings
    assert len(read_people(pickle.loads(pickle.dumps(one)), BODY).number) == 5


def test_the_size_of_names_does_not_depend_on_the_number_of_frames(tmp_path: Path) -> None:
    sizes = []
    for frames in (10, 1000):
        write_video(tmp_path / str(frames), dict.fromkeys(range(frames), b""))
        (one,) = find_recordings(tmp_path / str(frames))
        sizes.append(len(pickle.dumps(one)))
    assert abs(sizes[1] - sizes[0]) < 20


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
def test_pieces_of_a_recording_in_an_archive_have_their_own_files(tmp_path: Path, ending: str) -> None:
    pack(tmp_path / f"x{ending}", {name(n): body(10 + n) for n in range(5)})
    (whole,) = search(tmp_path).recordings
    read = [read_people(piece, BODY).keypoints[:, 0, 0].tolist() for piece in whole.pieces(2)]
    assert read == [[10, 11], [12, 13], [14]]


def test_the_size_of_a_tar_member_may_be_in_an_extension_only(tmp_path: Path) -> None:
    """As for members of 8 GB and more, whose size does not fit the header."""
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as packed:
        add(packed, name(0), body(5), pax_headers={"size": str(len(body(5)))})
        add(packed, name(1), body(6))
    content = bytearray((tmp_path / "x.tar").read_bytes())
    start = content.index(name(0).encode())  # of the header that follows the extension
    content[start + 124 : start + 136] = b"0" * 11 + b"\0"
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
    (tmp_path / "x.tar").write_bytes(content)
    (one,) = search(tmp_path).recordings
    assert read_people(one, BODY).keypoints[:, 0, 0].tolist() == [5, 6]


def test_a_field_of_an_extension_without_a_length_is_damage(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as packed:
        add(packed, name(0), body(5), pax_headers={"comment": "a"})
    content = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(content.replace(b"13 comment=a", b"x3 comment=a"))
    with pytest.raises(InputError, match="is damaged at byte 0"):
        search(tmp_path)


def test_a_tar_member_of_an_unknown_type_is_passed_over_with_its_bytes(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        add(packed, "vendor", b"x" * 600, type=b"A")
        add(packed, name(0), body(5))
    (one,) = search(tmp_path).recordings
    assert read_people(one, BODY).keypoints[:, 0, 0].tolist() == [5]
