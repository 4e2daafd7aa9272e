"""What meters push, from bytes to OBIS code, value and unit; one way through for every link and every layout."""
