"""Lab 18: delayed acknowledgements."""
