"""A part as data: keypoints, limbs, colors, mirror permutation, reference frame, graph edges and OpenPose's key."""

from dataclasses import dataclass, field
from functools import cached_property

from skelemo.errors import ConfigError, unknown

Limb = tuple[int, int]
Color = tuple[int, int, int]
#: A place on a part: the mean of its terms, each the mean of the visible points among some (positions on the part).
Place = tuple[tuple[int, ...], ...]
#: Equivalent pairs of places (left and right), their distance in units and its weight; see `Reference`.
Distance = tuple[tuple[tuple[Place, Place], ...], float, float]

#: In the order of parts in a layout. The viewer crops the face; other parts are linked to the body.
KINDS = ("body", "face", "hand", "other")


@dataclass(frozen=True)
class Drawing:
    """How OpenPose draws a part: ``renderKeypointsCpu`` and the defaults of ``--*_render_threshold``."""

    colors: tuple[Color, ...] = ((255, 255, 255),)
    threshold: float = 0.05
    thickness: float = 1 / 75  # stroke width relative to sqrt(width * height)
    line_ratio: float = 0.75  # width of a limb relative to the thickness

    def color(self, keypoint: int) -> Color:
        """RGB of a keypoint and of the limb that ends in it."""
        return self.colors[keypoint % len(self.colors)]


@dataclass(frozen=True)
class Reference:
    """How a part's coordinates are normalized: origin, unit and, for a face, rotation.

    Places are keypoint names: ``Neck`` is one point, ``RShoulder+LShoulder`` the midpoint of two that must both be
    visible, ``REye*`` the mean of the visible points with that prefix. Without a rule the origin is the mean of the
    visible points and the unit their spread.

    Parameters
    ----------
    origin : ``PLACE X Y; ...``: the origin is the first place. If that is missing, it is derived from the next visible
        place and the clip's median offset between the two, or, if the clip never shows both, ``X Y`` units, y down.
    unit : ``PLACE-PLACE|PLACE-PLACE LENGTH WEIGHT, ...; ...``: distances, their length in units on an average person,
        and their weight, 1 by default. ``|`` separates equivalent distances, left and right. Distances after a ``;``
        are used if a clip shows none of those before it.
    level : ``PLACE-PLACE`` that becomes horizontal, from left to right in the image; empty for no rotation.
    """

    origin: str = ""
    unit: str = ""
    level: str = ""


@dataclass(frozen=True)
class Part:
    """A group of keypoints: one list of x, y, confidence in a person's JSON.

    Only the name and the keypoints are required.

    Raises `ConfigError`: a missing, unknown or duplicate name, or an invalid position in mirror or limbs.

    Parameters
    ----------
    name : the part's name in caches, exports and `Layout.part`.
    keypoints : names in the order of the file. L or R before another capital means left or right.
    limbs : pairs of positions: lines when drawn and edges in graphs.
    drawing : colors and strokes.
    mirror : permutation of the points in a horizontal flip; by default swaps names with L and R.
    reference : origin, unit and rotation of normalized coordinates.
    kind : ``body``, ``face``, ``hand`` or ``other``.
    key : key of the list in a person's JSON; by default ``NAME_keypoints_2d``.
    old_keys : keys of the list in earlier versions of OpenPose.
    twin : name of the part that this one becomes in a horizontal flip; by default itself.
    root : name of the graph's root; by default the first keypoint.
    ties : ``A-B ...``: pairs of names, additional edges in graphs that are not drawn.
    links : ``A-B ...``: edges in graphs between A on the body and B on this part.
    middles : ``M=A+B ...``: M is the midpoint of A and B if a source has both but not M.
    regions : ``NAME: A B*; NAME: ...``: named groups of points, such as the mouth or an arm; ``B*`` is a prefix.
    """

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[Limb, ...] = ()
    drawing: Drawing = field(default=Drawing())
    mirror: tuple[int, ...] = ()
    reference: Reference = field(default=Reference())
    kind: str = "other"
    key: str = ""
    old_keys: tuple[str, ...] = ()
    twin: str = ""
    root: str = ""
    ties: str = ""
    links: str = ""
    middles: str = ""
    regions: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.keypoints or len(set(self.keypoints)) < len(self.keypoints):
            raise ConfigError(f"part {self.name!r}: expected a name of letters, digits and _, and different keypoints")
        if self.kind not in KINDS:
            raise unknown(f"kind of the part {self.name}", self.kind, KINDS)
        object.__setattr__(self, "mirror", self.mirror or tuple(self.index(_opposite(n)) for n in self.keypoints))
        object.__setattr__(self, "key", self.key or f"{self.name}_keypoints_2d")
        object.__setattr__(self, "root", self.root or self.keypoints[0])
        places = range(len(self))
        if sorted(self.mirror) != [*places] or not all(a in places and b in places for a, b in self.limbs):
            raise ConfigError(f"part {self.name}: mirror and limbs must be positions of its {len(self)} keypoints")
        self.index(self.root)
        _ = self.region_points

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Position of a keypoint on the part."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise unknown(f"keypoint of {self.name}", keypoint, self.keypoints) from None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the list in a person's JSON, the current one first."""
        return (self.key, *self.old_keys)

    @cached_property
    def halfway(self) -> dict[int, tuple[int, int]]:
        """Midpoints and their two ends, by position; see ``middles``."""
        rules = (rule.split("=") for rule in self.middles.split())
        return {self.index(m): (self.index(a), self.index(b)) for m, ends in rules for a, b in [ends.split("+")]}

    @cached_property
    def region_points(self) -> dict[str, tuple[int, ...]]:
        """Points of each region, by position; see ``regions``."""
        rules = (rule.split(":") for rule in self.regions.split(";") if rule.strip())
        return {
            name.strip(): tuple(point for term in terms.split() for point in self._term(term)) for name, terms in rules
        }

    @cached_property
    def origins(self) -> tuple[tuple[Place, float, float], ...]:
        """Places of the origin with their x and y in units; see `Reference`."""
        rows = (item.split() for item in self.reference.origin.split(";") if item.strip())
        return tuple((self._place(place), float(x), float(y)) for place, x, y in rows)

    @cached_property
    def units(self) -> tuple[tuple[Distance, ...], ...]:
        """Distances that define the unit, by rank; see `Reference`."""
        ranks = (rank.split(",") for rank in self.reference.unit.split(";") if rank.strip())
        return tuple(tuple(self._distance(*item.split()) for item in rank) for rank in ranks)

    @cached_property
    def level(self) -> tuple[Place, Place] | None:
        """Two places that become level; see `Reference`."""
        return self._pairs(self.reference.level)[0] if self.reference.level else None

    def _distance(self, pairs: str, length: str, weight: str = "1") -> Distance:
        return self._pairs(pairs), float(length), float(weight)

    def _pairs(self, text: str) -> tuple[tuple[Place, Place], ...]:
        pairs = (pair.split("-") for pair in text.split("|"))
        return tuple((self._place(start), self._place(end)) for start, end in pairs)

    def _place(self, text: str) -> Place:
        return tuple(self._term(term) for term in text.split("+"))

    def _term(self, text: str) -> tuple[int, ...]:
        begun = [i for i, name in enumerate(self.keypoints) if text.endswith("*") and name.startswith(text[:-1])]
        return tuple(begun) or (self.index(text),)


def limbs(text: str) -> tuple[Limb, ...]:
    """Pairs of positions such as ``0-1 1-2``."""
    return tuple((int(a), int(b)) for a, b in (pair.split("-") for pair in text.split()))


def colors(text: str) -> tuple[Color, ...]:
    """RGB triples such as ``255,0,85 255,0,0``."""
    triples = (tuple(map(int, item.split(","))) for item in text.split())
    return tuple((r, g, b) for r, g, b in triples)


def _opposite(name: str) -> str:
    side = {"L": "R", "R": "L"}.get(name[0]) if name[1:2].isupper() else None
    return side + name[1:] if side else name
