"""Changes the packages of an environment all together or not at all.

uv resolves, downloads and unpacks beside the environment; what then changes in it are renames written down before.
"""
