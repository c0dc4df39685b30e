"""The commands: a module each, which holds ``command``; heavy imports happen inside their bodies."""
