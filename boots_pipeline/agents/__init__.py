"""From knowledge to a proposal: researcher, strategist, writer, reviewer, attribution. Never imports dagster."""
