"""Attribution: where heads look, what each part writes, what gradients and paths say of its effect."""
