"""Tools for whoever writes a source's file: converters of what others have written, and what can be told of all files together."""
