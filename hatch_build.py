"""Puts the Julia source into the wheel and points `juliapkg.json` at it there.

In a checkout and in an editable install the file in the repository, which points at `../julia`, is
used as it is.
"""

import json
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class JuliaSource(BuildHookInterface):
    written = None

    def initialize(self, version, build_data):
        if version == "editable":
            return
        root = Path(self.root)
        settings = json.loads((root / "pydiffgeo" / "juliapkg.json").read_text())
        settings["packages"]["PydiffgeoSolvers"]["path"] = "julia"
        # Not called juliapkg.json until it is in the wheel: juliapkg would find it beside scripts in /tmp.
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(settings, file, indent=4)
        self.written = Path(file.name)
        build_data["force_include"].update(
            {
                str(root / "julia" / "Project.toml"): "pydiffgeo/julia/Project.toml",
                str(root / "julia" / "src"): "pydiffgeo/julia/src",
                str(root / "julia" / "ext"): "pydiffgeo/julia/ext",
                str(self.written): "pydiffgeo/juliapkg.json",
            }
        )

    def finalize(self, version, build_data, artifact_path):
        if self.written is not None:
            self.written.unlink(missing_ok=True)
