"""Lab 40: UDP and TCP servers in Node.js."""
