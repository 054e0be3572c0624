"""A request on its way in and a reply on its way out, whatever it is about."""
