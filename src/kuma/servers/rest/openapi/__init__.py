"""The OpenAPI description of the API: `document` puts it together, `pages` has what the catalog does not say."""
