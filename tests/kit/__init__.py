"""What tests share: short ways to make resources and worlds."""
