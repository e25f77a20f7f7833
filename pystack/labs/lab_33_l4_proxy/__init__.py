"""Lab 33: do L4 proxies buffer segments?"""
