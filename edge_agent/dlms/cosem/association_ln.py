"""Association LN (class 15): what the device holds, for this client."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import ENUMERATED, NAME, OBJECT_LIST


class AssociationLn(CosemObject):
    """`object_list` has a ListedObject for each object; `status` is 0 none, 1 pending, 2 associated."""

    CLASS_ID = 15
    VERSION = 1
    ATTRIBUTES = (
        Attribute(2, "object_list", OBJECT_LIST),
        Attribute(3, "associated_partners"),
        Attribute(4, "application_context_name"),
        Attribute(5, "xdlms_context_info"),
        Attribute(6, "authentication_mechanism_name"),
        Attribute(7, "secret"),
        Attribute(8, "association_status", ENUMERATED),
        Attribute(9, "security_setup_reference", NAME),
    )
    METHODS = ((1, "reply_to_hls_authentication"), (2, "change_hls_secret"))
