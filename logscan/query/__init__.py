"""The language in which mails are searched for, and how a question is answered from tables."""
