"""The demo: four campus buildings and four flats on one machine, every part real, one epoch in 20 seconds."""
