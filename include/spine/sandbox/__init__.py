"""Small HTTP servers that behave like vendors, for the demo and the tests.

`SandboxServer` (server) runs them in a thread, `python -m spine.sandbox` as a process. world says what is true, records
what systems make of it, salesforce, hubspot and files how the vendors show it; faults and changes disturb the peace.
"""
