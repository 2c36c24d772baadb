"""A part as data: keypoints, limbs, colors, mirror image, reference frame, place in the graph and OpenPose's key."""

from dataclasses import dataclass, field
from functools import cached_property

from skelemo.errors import ConfigError, unknown

Limb = tuple[int, int]
Color = tuple[int, int, int]
#: A place on a part: the mean of its terms, each the mean of the visible ones of some points (positions on the part).
Place = tuple[tuple[int, ...], ...]
#: Pairs of places of a kind, their distance in units and its weight; see `Reference`.
Distance = tuple[tuple[tuple[Place, Place], ...], float, float]

#: What a part shows. The viewer crops the face, the other parts of a person hang from the body.
KINDS = ("body", "face", "hand", "other")


@dataclass(frozen=True)
class Drawing:
    """How OpenPose draws a part: ``renderKeypointsCpu`` and the three ``--*_render_threshold`` defaults."""

    colors: tuple[Color, ...] = ((255, 255, 255),)
    threshold: float = 0.05
    thickness: float = 1 / 75  # stroke width as a share of sqrt(width * height)
    line_ratio: float = 0.75  # width of a limb relative to that thickness

    def color(self, keypoint: int) -> Color:
        """RGB of a keypoint, which is also the color of the limb that ends in it."""
        return self.colors[keypoint % len(self.colors)]


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
    unit : ``PLACE-PLACE|PLACE-PLACE LENGTH WEIGHT, ...; ...``: distances, how many units long they are on an average
        person, and how much each counts, 1 unless given. ``|`` joins two of a kind, left and right, of which either
        serves. Those behind a ``;`` serve where a clip shows none of those before it.
    level : ``PLACE-PLACE`` that lies level, from left to right in the image; empty for parts that are not turned.
    """

    origin: str = ""
    unit: str = ""
    level: str = ""


@dataclass(frozen=True)
class Part:
    """A group of keypoints that one list of x, y, confidence holds in a person's JSON.

    Only the name and the keypoints are required: the rest has a default that works, if not as well.

    Raises `ConfigError`: a name that is missing, unknown or there twice, or a mirror or limb that names no point.

    Parameters
    ----------
    name : the part's name in caches, exports and `Layout.part`.
    keypoints : names in the order of the file. Names that begin with L or R and another capital are left or right.
    limbs : pairs of positions to draw and to join in graphs.
    drawing : colors and strokes.
    mirror : for each point the one that it becomes in a mirror image; by default its namesake on the other side.
    reference : origin, unit and level line of the normalized coordinates.
    kind : ``body``, ``face``, ``hand`` or ``other``.
    key : key of the list in a person's JSON; by default ``NAME_keypoints_2d``.
    old_keys : keys of the list in earlier versions of the format.
    twin : name of the part that this one becomes in a mirror image; by default itself.
    root : name of the keypoint that the graph hangs from; by default the first.
    ties : names ``A-B``: pairs that are joined in graphs though no limb is drawn.
    links : names ``A-B``: A on the body is joined to B of this part in graphs, where the layout has a body.
    middles : names ``M=A+B``: M lies halfway between A and B where a source has these two and not M.
    regions : ``NAME: A B*; NAME: ...``: what people call some of the points together, such as the mouth or an arm;
        ``B*`` are the points whose names begin so.
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
            raise ConfigError(f"part {self.name!r}: expected a name of letters, digits and _, and keypoints, each once")
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
        """Position of a named keypoint within the part."""
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
        """Points that lie halfway between two others, by position; see ``middles``."""
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
        """Places of the origin with their usual x and y in units; see `Reference`."""
        rows = (item.split() for item in self.reference.origin.split(";") if item.strip())
        return tuple((self._place(place), float(x), float(y)) for place, x, y in rows)

    @cached_property
    def units(self) -> tuple[tuple[Distance, ...], ...]:
        """By rank the distances that measure a unit; see `Reference`."""
        ranks = (rank.split(",") for rank in self.reference.unit.split(";") if rank.strip())
        return tuple(tuple(self._distance(*item.split()) for item in rank) for rank in ranks)

    @cached_property
    def level(self) -> tuple[Place, Place] | None:
        """Two places that lie level; see `Reference`."""
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


def words(text: str) -> tuple[str, ...]:
    """Keypoint names with spaces between them."""
    return tuple(text.split())


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
