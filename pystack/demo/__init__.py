"""The demo: a real ping and a real curl on the kernel's side talk to the stack on a TAP, and each frame is explained."""
