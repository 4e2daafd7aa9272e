"""People: who may sign in, as what, and how; their sessions, their programs' tokens, and what of it is logged."""
