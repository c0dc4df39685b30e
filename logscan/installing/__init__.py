"""Installing the daily run: what a machine is like, who may read its logs, and the files and steps that follow from that."""
