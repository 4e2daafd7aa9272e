"""Drivers: what a meter on a line gives, as the four cumulative registers of the signed reading."""
