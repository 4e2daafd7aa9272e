"""The subcommands of `edge-agent`, one file each."""
