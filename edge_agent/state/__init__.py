"""What a gateway keeps on its disk: journal, keys, credentials, status."""
