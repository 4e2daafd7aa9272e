"""Settlement: carries accepted readings to the chain and takes each epoch through minting, clearing and checkpoint."""
