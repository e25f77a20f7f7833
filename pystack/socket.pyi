from socket import *  # noqa: F403
from socket import SO_REUSEADDR as SO_REUSEADDR
from socket import SOL_SOCKET as SOL_SOCKET
from socket import socket as socket
