"""The demo: four campus buildings on one machine, every part real, one epoch in 20 seconds."""
