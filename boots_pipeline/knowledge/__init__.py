"""From documents to knowledge: cut, embed, identify clients, roll up, search. Never imports dagster."""
