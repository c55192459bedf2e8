"""Puts the Julia source into the wheel and points `juliapkg.json` at it there.

In a checkout and in an editable install the file in the repository, which points at `../julia`, is
used as it is.
"""

import json
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class JuliaSource(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            return
        root = Path(self.root)
        settings = json.loads((root / "pydiffgeo" / "juliapkg.json").read_text())
        settings["packages"]["PydiffgeoSolvers"]["path"] = "julia"
        written = Path(tempfile.mkdtemp()) / "juliapkg.json"
        written.write_text(json.dumps(settings, indent=4) + "\n")
        build_data["force_include"].update(
            {
                str(root / "julia" / "Project.toml"): "pydiffgeo/julia/Project.toml",
                str(root / "julia" / "src"): "pydiffgeo/julia/src",
                str(root / "julia" / "ext"): "pydiffgeo/julia/ext",
                str(written): "pydiffgeo/juliapkg.json",
            }
        )
