"""The agent's DNS server: answers for names of the mesh itself and passes every other question on.

Records come from the control plane through Envoy (`dynconf`, path `/dns`). Nearly every question of an application in
the mesh passes here, so known names are answered from prepared bytes; nothing here builds or reads more of a message
than it has to.
"""
