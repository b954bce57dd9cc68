"""How Sphinx makes the site: `make docs` writes it to docs-output/. Nothing is fetched while it is made."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

import deepscore

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from reference_pages import write_command_line, write_python_pages  # noqa: E402

project = "DeepScore"
author = "DeepScore developers"
version = release = deepscore.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_design",
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = "DeepScore"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = html_show_copyright = False

# Pages that hold code cells are run; what one raises or a warning of Sphinx fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True
nb_execution_in_temp = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Links between the pages must hold, and those to our own names; those to names of other libraries need their sites.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!deepscore\.).*")]
# What the properties `model` and `reference` return is for those who read the code.
nitpick_ignore_regex += [("py:class", r"deepscore\.(model|training)\..*")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
# Our "Returns" are sentences, not a type and its description.
napoleon_custom_sections = ["Returns"]

# What the code cells see: no settings of whoever builds the site, pictures in the page, no bars, and R with the engine
# of this environment.
_settings = tempfile.TemporaryDirectory()
(Path(_settings.name) / "profile_default").mkdir()
(Path(_settings.name) / "profile_default/ipython_kernel_config.py").write_text(
    "c.IPKernelApp.log_level = 'ERROR'\nc.InteractiveShellApp.extensions = ['site_cells']\n"
)
os.environ["IPYTHONDIR"] = _settings.name
logging.getLogger("traitlets").setLevel(logging.WARNING)
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
os.environ["TQDM_DISABLE"] = "1"
os.environ["DEEPSCORE_REQUIRE_ENGINE"] = "1"
os.environ.setdefault("RETICULATE_PYTHON", sys.executable)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parent / "examples"), os.environ.get("PYTHONPATH", "")])


class OtherLanguages(SphinxTransform):
    """Show what a cell hands to R or to the shell in that language, without the line that hands it over."""

    default_priority = 400

    def apply(self, **_options: object) -> None:
        """Go through the code of the page."""
        for block in self.document.findall(nodes.literal_block):
            head, _, code = block.astext().partition("\n")
            if head.startswith("%%"):
                block["language"], block.rawsource = head.removeprefix("%%"), code
                block.children = [nodes.Text(code)]


def spread(_app: Sphinx, _env: BuildEnvironment, pages: list[str]) -> None:
    """Put other pages between those that are run: pages are read in batches, of which each process takes one."""
    run = [page for page in pages if page.startswith("tutorials/")]
    rest = [page for page in pages if page not in run]
    size = len(rest) // max(len(run), 1)
    batches = [[page, *rest[i * size : (i + 1) * size]] for i, page in enumerate(run)]
    pages[:] = [*(page for batch in batches for page in batch), *rest[len(run) * size :]]


def setup(app: Sphinx) -> None:
    """Write the pages of the reference before Sphinx reads them."""
    write_python_pages(HERE / "python", deepscore)
    write_command_line(HERE / "command-line.md")
    app.add_transform(OtherLanguages)
    app.connect("env-before-read-docs", spread)
