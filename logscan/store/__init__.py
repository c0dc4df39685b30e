"""The memory of the daily run: where it left off, what is open, what was found before, the mails that wait to be sent."""
