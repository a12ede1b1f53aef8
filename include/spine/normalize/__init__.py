"""Source field to canonical field. Pure: columns in, columns out."""
