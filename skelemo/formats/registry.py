"""Formats that caches are exported to and imported from, by name; a format is one registered function."""

from dataclasses import dataclass

from skelemo.plugins import Registry
from skelemo.skeleton import BODY_25


@dataclass(frozen=True)
class Files:
    """Files of an import.

    Parameters
    ----------
    endings : of their names, in lower case.
    body_model : a name in `skelemo.skeleton.BODY_MODELS`.
    """

    endings: tuple[str, ...] = ("",)
    body_model: str = BODY_25.name


#: ``write(cache, out, only, report) -> Exported``, with a keyword argument ``raw`` if texts can be written unquoted.
EXPORTS: Registry[None] = Registry("export format", "skelemo.formats", "skelemo.formats")
#: ``read(file, layout, size) -> [Clip, ...]``, one for each recording of the file.
IMPORTS: Registry[Files] = Registry("import format", "skelemo.imports", "skelemo.formats", Files())
