"""The pages: server-rendered, no build step, nothing from elsewhere; live by server-sent events."""
