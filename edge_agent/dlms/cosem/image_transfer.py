"""Image transfer (class 18), for reading: how far a firmware image has come, and what is there to be activated."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import BOOLEAN, DATA, ENUMERATED, U32


class ImageTransfer(CosemObject):
    """`image_transferred_blocks_status` is a bit-string, `image_to_activate_info` an array, both as Data."""

    CLASS_ID = 18
    ATTRIBUTES = (
        Attribute(2, "image_block_size", U32),
        Attribute(3, "image_transferred_blocks_status", DATA),
        Attribute(4, "image_first_not_transferred_block_number", U32),
        Attribute(5, "image_transfer_enabled", BOOLEAN),
        Attribute(6, "image_transfer_status", ENUMERATED),
        Attribute(7, "image_to_activate_info", DATA),
    )
