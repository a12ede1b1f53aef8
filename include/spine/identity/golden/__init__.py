"""Entities to Gold: lasting ids, golden values, stewards' word, limits, rows to write."""
