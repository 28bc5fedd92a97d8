"""Loads the plugin that knows what a claim is."""

import os

if os.environ.get("MECHLIB_CHECK_SHAPES"):
    # Must come before mechlib is imported: annotated shapes are then checked at every call. An int is a float here,
    # as PEP 484 has it and as mypy reads it.
    from jaxtyping import install_import_hook

    install_import_hook("mechlib.lab", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

pytest_plugins = ["mechlib.plugin", "pytester"]
