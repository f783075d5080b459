"""Events: their types, payload schemas and representation. No I/O."""
