"""Views of what the control plane made of resources: rules, routes, configurations, who is reached."""
