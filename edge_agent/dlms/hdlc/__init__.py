"""The HDLC data link of DLMS/COSEM (IEC 62056-46, Green Book clause 8)."""
