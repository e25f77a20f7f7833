"""The course in a browser: what its page asks for (service.py), and a server for this machine (server.py, `pystack course`).

`service.py` and what it imports need no Linux, so that they also run in a page (Pyodide). The page's sources are in `web/src/course`.
"""
