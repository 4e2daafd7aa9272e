"""The edge agent: reads a building's AMI meters over serial DLMS/COSEM and signs every interval reading."""
