"""Packaged models: pretrained ones that the package index carries. `table` has what each is, `bringing` brings one."""
