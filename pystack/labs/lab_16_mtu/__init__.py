"""Lab 16: MSS, MTU and path MTU discovery."""
