"""Salesforce: SOQL over the REST API, and Bulk API 2.0 where that needs fewer calls. Any object, also custom ones, by its describe.

`soql` writes queries, `service` finds the account's API and asks it, `fields` says what an object has, `bulk` runs query jobs, `faults`
says what Salesforce's errors mean, `account` asks, and `walk` goes through a stream for `reader`.
"""

from spine.sources.custom.salesforce.reader import DETECTS, READS, Reader, mistakes
from spine.sources.custom.salesforce.soql import Place, name, soql, text_literal, time_literal

__all__ = ["DETECTS", "READS", "Place", "Reader", "mistakes", "name", "soql", "text_literal", "time_literal"]
