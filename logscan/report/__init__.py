"""The report as data: counts, lists, the map, the ways of mails."""
