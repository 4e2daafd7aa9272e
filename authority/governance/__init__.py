"""Governance's acts by the authority's key: parameters of a later epoch, pauses, the operator's name."""
