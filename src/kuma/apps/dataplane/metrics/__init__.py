"""Metrics of the proxy and of the applications behind it.

The agent scrapes Envoy's admin API and the applications, keeps what a MeshMetric asks for, and hands it on in two ways:
Prometheus fetches it through Envoy (`hijacker`), OpenTelemetry collectors get it sent through Envoy (`export`).
Everything between a scrape and an answer is a pure function of text (`exposition`, `merging`, `profiles`, `combining`).
"""
