"""`spine match`: records of a file to clusters in a file, without a lake."""
