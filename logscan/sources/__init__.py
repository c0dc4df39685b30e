"""Sources: files, folders, URLs and pipes found, opened, unpacked and pinned."""
