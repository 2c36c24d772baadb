"""Parts and layouts: which keypoints there are, in which order, what joins them and how OpenPose colors them.

Names, orders, limbs and colors are those of OpenPose's ``poseParameters.cpp``, ``poseParametersRender.hpp``,
``faceParameters.hpp`` and ``handParameters.hpp``. Left and right are the subject's own.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache, cached_property

from skelemo.errors import ConfigError, unknown

#: Units of x and y: pixels of the picture, its width and height as [0, 1], or as [-1, 1].
SCALES = ("pixels", "unit", "signed")

#: Farther out, in any unit, is no keypoint: no picture has a million pixels on a side.
FARTHEST = 1e6

Limb = tuple[int, int]
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Drawing:
    """How OpenPose draws a part: ``renderKeypointsCpu`` and the three ``--*_render_threshold`` defaults."""

    colors: tuple[Color, ...]
    threshold: float
    thickness: float  # share of sqrt(width * height) that one stroke is thick
    line_ratio: float  # width of a limb against that thickness

    def color(self, keypoint: int) -> Color:
        """RGB of a keypoint, which is also the color of the limb that ends in it."""
        return self.colors[keypoint % len(self.colors)]


#: A place on a part: the mean of its terms, each the mean of the seen ones of some points (positions on the part).
Place = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Reference:
    """How a part's coordinates are normalized: their origin, their unit and, for a face, what lies level.

    Places are written as keypoint names: ``Neck`` is one point, ``RShoulder+LShoulder`` the middle of two that must
    both be seen, ``REye*`` the mean of the seen points whose names begin so. Without a rule the origin is the mean of
    the seen points and the unit their spread.

    Parameters
    ----------
    origin : ``PLACE X Y; ...``: the origin lies at the first place. Where that is missing the next one that is seen
        serves, at its usual distance from the first, or where the clip never shows both at ``X Y`` units, y down.
    unit : ``PLACE-PLACE|PLACE-PLACE LENGTH, ...; ...``: distances, and how many units long they are on an average
        person. ``|`` joins two of a kind, left and right, of which either serves. Those behind a ``;`` serve where a
        clip shows none of those before it.
    level : ``PLACE-PLACE`` that lies level, from left to right in the image; empty for parts that are not turned.
    """

    origin: str = ""
    unit: str = ""
    level: str = ""


@dataclass(frozen=True)
class Part:
    """A group of keypoints that OpenPose writes as one flat list of x, y, confidence."""

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[Limb, ...]
    drawing: Drawing
    mirror: tuple[int, ...] = field(default=())
    reference: Reference = field(default=Reference())

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Position of a named keypoint within the part."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise unknown(f"keypoint of {self.name}", keypoint, self.keypoints) from None

    @cached_property
    def origins(self) -> tuple[tuple[Place, float, float], ...]:
        """Places of the origin with their usual x and y in units; see `Reference`."""
        rows = (item.split() for item in self.reference.origin.split(";") if item.strip())
        return tuple((self._place(place), float(x), float(y)) for place, x, y in rows)

    @cached_property
    def units(self) -> tuple[tuple[tuple[tuple[tuple[Place, Place], ...], float], ...], ...]:
        """By rank the distances that measure a unit, as pairs of places and their length; see `Reference`."""
        return tuple(
            tuple((self._pairs(pairs), float(length)) for pairs, length in (item.split() for item in rank.split(",")))
            for rank in self.reference.unit.split(";")
            if rank.strip()
        )

    @cached_property
    def level(self) -> tuple[Place, Place] | None:
        """Two places that lie level; see `Reference`."""
        return self._pairs(self.reference.level)[0] if self.reference.level else None

    def _pairs(self, text: str) -> tuple[tuple[Place, Place], ...]:
        pairs = (pair.split("-") for pair in text.split("|"))
        return tuple((self._place(start), self._place(end)) for start, end in pairs)

    def _place(self, text: str) -> Place:
        return tuple(self._term(term) for term in text.split("+"))

    def _term(self, text: str) -> tuple[int, ...]:
        begun = [i for i, name in enumerate(self.keypoints) if text.endswith("*") and name.startswith(text[:-1])]
        return tuple(begun) or (self.index(text),)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _limbs(text: str) -> tuple[Limb, ...]:
    return tuple((int(a), int(b)) for a, b in (pair.split("-") for pair in text.split()))


def _colors(text: str) -> tuple[Color, ...]:
    triples = (tuple(map(int, item.split(","))) for item in text.split())
    return tuple((r, g, b) for r, g, b in triples)


def _swap_sides(names: tuple[str, ...]) -> tuple[int, ...]:
    """Permutation that exchanges L… and R… keypoints, for parts whose names carry the side."""

    def twin(name: str) -> str:
        side = {"L": "R", "R": "L"}.get(name[0]) if name[1:2].isupper() else None
        return side + name[1:] if side else name

    return tuple(names.index(twin(name)) for name in names)


#: The unit is about a torso. Head and shoulders come first: they are seen in nearly every picture of a person.
#: Lengths are round means over recordings of walking, sitting and gesturing people.
_BODY_REFERENCE = Reference(
    origin="Neck 0 0; RShoulder+LShoulder 0 0; RShoulder -.4 0; LShoulder .4 0; Nose 0 -.5; MidHip 0 1; RHip -.2 1; "
    "LHip .2 1; RElbow -.5 .6; LElbow .5 .6; RKnee -.2 1.8; LKnee .2 1.8",
    unit="Neck-Nose .5, RShoulder-Neck|LShoulder-Neck .4; Neck-MidHip 1, RShoulder-RHip|LShoulder-LHip 1; "
    "RShoulder-RElbow|LShoulder-LElbow .6, RElbow-RWrist|LElbow-LWrist .5, RHip-RKnee|LHip-LKnee .8, "
    "RKnee-RAnkle|LKnee-LAnkle .8",
)


def _body(name: str, keypoints: str, limbs: str, colors: str, reference: Reference = Reference()) -> Part:
    names = _names(keypoints)
    drawing = Drawing(_colors(colors), threshold=0.05, thickness=1 / 75, line_ratio=0.75)
    return Part(name, names, _limbs(limbs), drawing, _swap_sides(names), reference)


BODY_25 = _body(
    "body_25",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 "
    "14-19 19-20 14-21 11-22 22-23 11-24",
    "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 0,255,0 255,0,0 0,255,85 0,255,170 0,255,255 "
    "0,170,255 0,85,255 0,0,255 255,0,170 170,0,255 255,0,255 85,0,255 0,0,255 0,0,255 0,0,255 0,255,255 0,255,255 "
    "0,255,255",
    _BODY_REFERENCE,
)
COCO_18 = _body(
    "coco_18",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar",
    "1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17",
    "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 0,255,0 0,255,85 0,255,170 0,255,255 0,170,255 "
    "0,85,255 0,0,255 255,0,170 170,0,255 255,0,255 85,0,255",
)
MPI_15 = _body(
    "mpi_15",
    "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle Chest",
    "0-1 1-2 2-3 3-4 1-5 5-6 6-7 1-14 14-8 8-9 9-10 14-11 11-12 12-13",
    "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 43,255,0 0,255,0 0,255,85 0,255,170 0,255,255 "
    "0,170,255 0,85,255 0,0,255",
)
BODY_25B = _body(
    "body_25b",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle "
    "Neck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "0-1 0-2 1-3 2-4 5-7 6-8 7-9 8-10 5-11 6-12 11-13 12-14 13-15 14-16 15-19 19-20 15-21 16-22 22-23 16-24 5-17 6-17 "
    "17-18 11-12",
    "255,0,85 170,0,255 255,0,170 85,0,255 255,0,255 170,255,0 255,85,0 85,255,0 255,170,0 0,255,0 255,255,0 0,170,255 "
    "0,255,85 0,85,255 0,255,170 0,0,255 0,255,255 255,0,0 255,0,0 0,0,255 0,0,255 0,0,255 0,255,255 0,255,255 "
    "0,255,255",
)

# Which point of the face another becomes when the picture is mirrored: iBUG's 68 points and OpenPose's two pupils.
_FACE_MIRROR = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # base of the nose
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer mouth
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner mouth
    *(69, 68),  # pupils
)


def _face_names() -> tuple[str, ...]:
    groups = (("Jaw", 17), ("RBrow", 5), ("LBrow", 5), ("NoseBridge", 4), ("NoseBase", 5), ("REye", 6), ("LEye", 6))
    mouths = (("OuterMouth", 12), ("InnerMouth", 8))
    counted = tuple(f"{group}{number}" for group, count in groups + mouths for number in range(count))
    return (*counted, "RPupil", "LPupil")


FACE_70 = Part(
    "face_70",
    _face_names(),
    _limbs(
        "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11 11-12 12-13 13-14 14-15 15-16 17-18 18-19 19-20 20-21 "
        "22-23 23-24 24-25 25-26 27-28 28-29 29-30 31-32 32-33 33-34 34-35 36-37 37-38 38-39 39-40 40-41 41-36 "
        "42-43 43-44 44-45 45-46 46-47 47-42 48-49 49-50 50-51 51-52 52-53 53-54 54-55 55-56 56-57 57-58 58-59 59-48 "
        "60-61 61-62 62-63 63-64 64-65 65-66 66-67 67-60"
    ),
    Drawing(((255, 255, 255),), threshold=0.4, thickness=1 / 75, line_ratio=0.334),
    _FACE_MIRROR,
    Reference(
        origin="REye*+LEye* 0 0; NoseBridge0 0 0; NoseBase2 0 .7; OuterMouth0 -.4 1.1; OuterMouth6 .4 1.1",
        unit="REye*-LEye* 1; NoseBridge0-NoseBase2 .7, OuterMouth0-OuterMouth6 .8",
        level="REye*-LEye*",
    ),
)


def _hand(name: str) -> Part:
    fingers = ("Thumb", "Index", "Middle", "Ring", "Pinky")
    colors = (
        "100,100,100 100,0,0 150,0,0 200,0,0 255,0,0 100,100,0 150,150,0 200,200,0 255,255,0 0,100,50 0,150,75 "
        "0,200,100 0,255,125 0,50,100 0,75,150 0,100,200 0,125,255 100,0,100 150,0,150 200,0,200 255,0,255"
    )
    return Part(
        name,
        ("Wrist", *(f"{finger}{joint}" for finger in fingers for joint in range(1, 5))),
        _limbs("0-1 1-2 2-3 3-4 0-5 5-6 6-7 7-8 0-9 9-10 10-11 11-12 0-13 13-14 14-15 15-16 0-17 17-18 18-19 19-20"),
        Drawing(_colors(colors), threshold=0.2, thickness=1 / 50, line_ratio=0.75),
        tuple(range(21)),
        Reference(
            origin="Wrist 0 0",
            unit="Wrist-Middle1 1; Wrist-Index1 1, Wrist-Ring1 .95, Wrist-Pinky1 .9, Middle1-Middle2 .45",
        ),
    )


HAND_LEFT = _hand("hand_left_21")
HAND_RIGHT = _hand("hand_right_21")

#: Body models that OpenPose writes, by the name that ``--body-model`` takes.
BODY_MODELS = {part.name: part for part in (BODY_25, COCO_18, MPI_15, BODY_25B)}


@dataclass(frozen=True)
class Layout:
    """Parts one after another: the axis V of every keypoint array."""

    name: str
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each part lies on the axis V."""
        found, start = {}, 0
        for part in self.parts:
            found[part.name] = slice(start, start + len(part))
            start += len(part)
        return found

    @cached_property
    def keypoints(self) -> tuple[str, ...]:
        """Every keypoint as ``part.Name``."""
        return tuple(f"{part.name}.{keypoint}" for part in self.parts for keypoint in part.keypoints)

    @cached_property
    def limbs(self) -> tuple[Limb, ...]:
        """The limbs of all parts, as positions on V."""
        return tuple(
            (a + self.slices[part.name].start, b + self.slices[part.name].start)
            for part in self.parts
            for a, b in part.limbs
        )

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Permutation of V that exchanges the subject's left and right: within parts, and one hand for the other."""
        twin = {HAND_LEFT.name: HAND_RIGHT.name, HAND_RIGHT.name: HAND_LEFT.name}
        twins = {name: twin[name] if twin.get(name) in self.slices else name for name in self.slices}
        return tuple(self.slices[twins[part.name]].start + index for part in self.parts for index in part.mirror)

    def only(self, names: Collection[str]) -> "Layout":
        """The layout of some of its parts alone, in their order."""
        words = []
        for word, parts in PARTS.items():
            kept = [part.name for part in parts if part in self.parts and part.name in names]
            words += [word] if len(kept) == len(parts) else kept
        return layout("+".join(words))

    def part(self, name: str) -> Part | None:
        """The part of that name, or None where the layout lacks it."""
        return next((part for part in self.parts if part.name == name), None)

    def index(self, keypoint: str) -> int:
        """Position on V of ``part.Name``."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise unknown(f"keypoint of {self.name}", keypoint, self.keypoints) from None


#: What a layout can be made of, by the word that stands for it in a layout's name.
PARTS = {"body_25": (BODY_25,), "face_70": (FACE_70,), "hand_21x2": (HAND_LEFT, HAND_RIGHT)}

DEFAULT_LAYOUT = "body_25+face_70"


@cache
def layout(name: str = DEFAULT_LAYOUT) -> Layout:
    """The layout that a name such as ``body_25+face_70`` spells: one or more of `PARTS`, in their order, once each.

    A part of several that share a word, such as ``hand_right_21``, may also stand alone.

    Raises
    ------
    ConfigError
        An unknown part, one named twice, or the parts in another order.
    """
    words = re.split(r"\s*\+\s*", name.strip())
    known = PARTS | {part.name: (part,) for parts in PARTS.values() for part in parts}
    for word in words:
        if word not in known:
            raise unknown("part of a layout", word, PARTS)
    parts = [part for word in words for part in known[word]]
    if parts != [part for group in PARTS.values() for part in group if part in parts]:
        raise ConfigError(f"layout {name!r}: name each part once and in the order {' + '.join(PARTS)}")
    return Layout("+".join(words), tuple(parts))
