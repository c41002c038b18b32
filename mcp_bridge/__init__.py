"""A small MCP server in front of QuickBooks' accounting API, for Intuit has none that an outsider can use.

It reads only, keeps nothing, and is told with every request whose access token to use and which company is meant. A
refresh token never comes here. It imports nothing of Boots, and whoever speaks MCP may use it.
"""
