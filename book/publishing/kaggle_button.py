"""A Sphinx extension: the theme opens notebooks on Colab, and has no button for Kaggle."""

from typing import Any

from sphinx.application import Sphinx

KAGGLE = "https://kaggle.com/kernels/welcome?src="
AFTER_THE_THEME = 600  # its buttons are added at Sphinx's usual 500


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", add_kaggle_button, priority=AFTER_THE_THEME)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_kaggle_button(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put Kaggle beside Colab on every page that has the theme's launch buttons."""
    options = app.config.html_theme_options
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            notebook = f"{options['repository_url']}/blob/{options['repository_branch']}/{page}.ipynb"
            group["buttons"].append(
                {
                    "type": "link",
                    "text": "Kaggle",
                    "tooltip": "Launch on Kaggle",
                    "icon": "fab fa-kaggle",
                    "url": KAGGLE + notebook,
                }
            )
