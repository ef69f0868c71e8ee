"""The site: ``make docs``. Sphinx reads the pages as they are read on a forge, by MyST."""

import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

from diskgen import __version__  # noqa: E402 - of this checkout

project = "diskgen"
author = "the authors of diskgen"
version = release = __version__
html_title = f"diskgen {__version__}"

extensions = ["myst_parser", "tables"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_extensions", "_build"]
html_theme = "furo"
html_copy_source = False
html_show_copyright = False

nitpicky = True
linkcheck_ignore = [r"https://[a-z.]*\.example/.*"]

# Where forges look for them, and pages of the site as well.
ABOVE = {name.lower(): f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")}
_BESIDE = re.compile(r"\[([^\]]*)\]\((?:bench|vm-tests)/[^)]*\)")  # no pages of the site


def _from_above(app: Sphinx, name: str, source: list[str]) -> None:
    if name in ABOVE:
        path = HERE.parent / ABOVE[name]
        app.env.note_dependency(str(path))
        source[0] = path.read_text(encoding="utf-8").replace("](docs/", "](")
        for page, file in ABOVE.items():
            source[0] = source[0].replace(f"]({file}", f"]({page}.md")
        source[0] = _BESIDE.sub(r"\1", source[0])
    else:
        source[0] = re.sub(r"\]\(((?:\.\./)*)\.\./README\.md", r"](\1readme.md", source[0])


def _publish(app: Sphinx, error: Exception | None) -> None:
    """Put the schemas where their ``$id`` says that they are."""
    if error is None and app.builder.format == "html":
        shutil.copytree(HERE / "schemas", Path(app.outdir) / "schemas", dirs_exist_ok=True)


def setup(app: Sphinx) -> None:
    """Read the papers of the top directory in place of their pages; add the schemas."""
    app.connect("source-read", _from_above)
    app.connect("build-finished", _publish)
