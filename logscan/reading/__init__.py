"""Reading: from lines to event tables."""
