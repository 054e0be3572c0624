"""The commands, one module each; `main` names them and imports a module when its command is called."""
