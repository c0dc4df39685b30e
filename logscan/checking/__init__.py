"""What checks share: the protocol, evidence, predictions, outages, duplicates."""
