"""A scan: the tables of a log or of a piece of it, and what is known of its mails."""
