"""Every device, on several chips: what the shared contract in test_contract.py runs on.

A new device is one line in `DEVICES`.
"""

import xbarax as xb
from tests.chip.noisy import Noisy

DEVICES = {
    "ideal": xb.device.Ideal(),
    "noisy": Noisy(write=0.1, read=0.2),
}

LAYOUTS = {
    "one tile": {},
    "tiles": {"tile": (2, 3)},
}

CHIPS = {
    f"{device}, {layout}": xb.Chip(device=DEVICES[device], **LAYOUTS[layout])
    for device in DEVICES
    for layout in LAYOUTS
}
