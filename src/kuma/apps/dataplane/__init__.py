"""Floor 9: kuma-dp, the agent beside each application.

It asks the control plane for Envoy's first configuration, starts Envoy and lives exactly as long as it; readiness,
access logs and an orderly goodbye are its own work. It stays small: no gRPC, no code of the control plane.
"""
