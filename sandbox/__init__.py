"""A stand-in for the outside world: providers' MCP servers, their OAuth servers, and levers to move it.

One process on loopback. Everything in it is fiction. Nothing here imports the product, and the product knows
this package only as URLs, as it would know the real thing. To add a provider: write its twin beside
`hubspot.py` (the contract is `provider.Provider`) and list it in `app.py`.
"""
