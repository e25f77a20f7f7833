"""The demo: a real ping and a real curl, from the kernel's side, against the stack on a TAP; each frame explained."""
