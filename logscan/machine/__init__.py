"""The compiled part: loops over the bytes of a chunk, in C, called through ctypes. Without it Python does it all, slower."""
