"""Load the plugins that each run of Ansible loads, once for all forks of a process."""

from __future__ import annotations

from ansible import constants
from ansible.plugins import loader

loader.init_plugin_loader()
for _name in constants.INVENTORY_ENABLED:
    loader.inventory_loader.get(_name, class_only=True)
for _loader in (
    loader.become_loader,
    loader.callback_loader,
    loader.connection_loader,
    loader.shell_loader,
):
    list(_loader.all(class_only=True))
